// Checks moments and the Frechet distance against numpy and scipy (scripts/make-metric-fixtures.py), 1e-9 relative; and how
// they stream, merge and end.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { features } from "../../test/formula.js";
import { cat, liveTensors, ones, randn, scope, Tensor } from "../torch/index.js";
import { extrapolateFrechet, frechetDistance, sampleWarning } from "./frechet.js";
import { Moments } from "./moments.js";

const fixture = new URL("../../test/fixtures/metrics.json", import.meta.url);
const expected = JSON.parse(readFileSync(fixture, "utf8"));

/** Moments of features, in batches of `size`. */
function momentsOf(all: Tensor, size = 64): Moments {
  const moments = new Moments(all.size(1));
  for (let start = 0; start < all.size(0); start += size)
    moments.update(all.slice(0, start, start + size));
  return moments;
}

const largest = (tensor: Tensor): number => tensor.abs().amax().item();

let before: number;
beforeEach(() => {
  before = liveTensors();
});

/** Runs a test's body in a scope; what it keeps it must dispose of. */
const inScope = (body: () => void) => () => scope(body);
afterEach(() => expect(liveTensors(), "tensors left behind").toBe(before));

describe("moments", () => {
  test(
    "of batches are those of the whole, in any float dtype and far from 0",
    inScope(() => {
      const all = features(300, 2, 1e6);
      const moments = momentsOf(all, 37);
      const centred = all.sub(all.mean(0));
      const covariance = centred.transpose(0, 1).matmul(centred).div(299);
      expect(moments.count).toBe(300);
      expect(largest(moments.mean().sub(all.mean(0)))).toBeLessThan(1e-8);
      expect(largest(moments.covariance().sub(covariance))).toBeLessThan(1e-8);
      const half = momentsOf(features(8, 2).to({ dtype: "float16" }));
      expect(half.mean().dtype).toBe("float64");
      moments.dispose();
      half.dispose();
    }),
  );

  test(
    "of parts merge to those of the whole, an empty part included",
    inScope(() => {
      const all = features(300, 2);
      const whole = momentsOf(all);
      const parts = [momentsOf(all.slice(0, 0, 1)), momentsOf(all.slice(0, 1, 120))];
      const merged = new Moments(24);
      for (const part of [...parts, new Moments(24)]) {
        merged.merge(part);
        part.dispose();
      }
      merged.update(all.slice(0, 120));
      merged.update(all.slice(0, 0, 0));
      expect(merged.count).toBe(300);
      expect(largest(merged.mean().sub(whole.mean()))).toBeLessThan(1e-12);
      expect(largest(merged.covariance().sub(whole.covariance()))).toBeLessThan(1e-11);
      merged.dispose();
      whole.dispose();
    }),
  );

  test(
    "hold two tensors however many features stream by",
    inScope(() => {
      const moments = new Moments(16);
      const batch = randn([32, 16]);
      const held = liveTensors();
      for (let i = 0; i < 500; i++) moments.update(batch);
      expect([moments.count, liveTensors()]).toEqual([16_000, held]);
      moments.dispose();
    }),
  );

  test(
    "refuse other channels, and a covariance of one sample",
    inScope(() => {
      const moments = new Moments(24);
      const other = new Moments(5);
      expect(() => moments.update(ones([2, 5]))).toThrow(/features \[N, 24\].*received \[2,5\]/);
      expect(() => moments.merge(other)).toThrow(/24 channels to merge, received 5/);
      expect(() => moments.mean()).toThrow(/at least 1 sample for a mean, received 0/);
      moments.update(ones([1, 24]));
      expect(() => moments.covariance()).toThrow(/at least 2 samples.*received 1/);
      expect(() => new Moments(0)).toThrow(/whole number of at least 1/);
      moments.dispose();
      other.dispose();
    }),
  );
});

describe("the Frechet distance", () => {
  test(
    "is that of scipy's matrix root, and of the singular values where n is below the channels",
    inScope(() => {
      const sets = [features(300, 2), features(200, 3, 0.25), features(20, 4), features(9, 5, 0.5)];
      const [a, b, few, fewer] = sets.map((set) => momentsOf(set)) as [
        Moments,
        Moments,
        Moments,
        Moments,
      ];
      expect(frechetDistance(a, b) / expected.frechet.sqrtm).toBeCloseTo(1, 9);
      expect(frechetDistance(b, a) / expected.frechet.sqrtm).toBeCloseTo(1, 9);
      expect(frechetDistance(few, fewer) / expected.frechet.singular).toBeCloseTo(1, 9);
      expect(sampleWarning(a, b)).toBeUndefined();
      expect(sampleWarning(a, few, fewer)).toMatch(/20 and 9 samples for 24 features/);
      for (const moments of [a, b, few, fewer]) moments.dispose();
    }),
  );

  test(
    "of a set from itself is 0 and never below",
    inScope(() => {
      const moments = momentsOf(features(300, 2, 1000));
      const distance = frechetDistance(moments, moments);
      expect(distance).toBeGreaterThanOrEqual(0);
      expect(distance).toBeLessThan(1e-8);
      moments.dispose();
    }),
  );

  test(
    "refuses one file, other channels and features that are not finite",
    inScope(() => {
      const [two, one, other] = [momentsOf(ones([2, 3])), momentsOf(ones([1, 3])), new Moments(4)];
      const broken = momentsOf(Tensor.from([1, 2, Number.NaN, 4], [2, 2]));
      other.update(randn([4, 4]));
      expect(() => frechetDistance(two, one)).toThrow(/at least 2 samples.*received 1/);
      expect(() => frechetDistance(two, other)).toThrow(/3 channels.*received 4/);
      expect(() => frechetDistance(broken, broken)).toThrow(/finite features/);
      for (const moments of [two, one, other, broken]) moments.dispose();
    }),
  );

  test(
    "of subsets falls with 1 / n, and its extrapolation lies below that of the whole",
    inScope(() => {
      const real = momentsOf(features(2000, 2));
      const fakes = features(600, 3);
      const { distance, points } = extrapolateFrechet(real, fakes, { smallest: 60, points: 8 });
      expect(points.map(({ count }) => count)).toEqual([60, 137, 214, 291, 369, 446, 523, 600]);
      expect(points[0]!.distance).toBeGreaterThan(points[7]!.distance);
      expect(distance).toBeLessThan(points[7]!.distance);
      const moments = momentsOf(fakes);
      expect(points[7]!.distance).toBeCloseTo(frechetDistance(real, moments), 8);
      expect(() => extrapolateFrechet(real, fakes.slice(0, 0, 3))).toThrow(/Give more features/);
      real.dispose();
      moments.dispose();
    }),
  );
});

test(
  "features of a set in two orders have the same moments",
  inScope(() => {
    const all = features(100, 2);
    const [a, b] = [
      momentsOf(all, 10),
      momentsOf(cat([all.slice(0, 60), all.slice(0, 0, 60)], 0), 33),
    ];
    expect(frechetDistance(a, b)).toBeLessThan(1e-9);
    a.dispose();
    b.dispose();
  }),
);
