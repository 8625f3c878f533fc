// Checks the Inception Score, KID, precision and recall against numpy and torchmetrics (scripts/make-metric-fixtures.py):
// 1e-6, precision and recall exactly; and their streams and edges.
import { readFileSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { features, formula } from "../../test/formula.js";
import { liveTensors, ones, scope, Tensor, zeros } from "../torch/index.js";
import { FeatureReservoir } from "./feature-reservoir.js";
import { InceptionScore } from "./inception-score.js";
import { kernelDistance } from "./kernel-distance.js";
import { legacyPermutation } from "./legacy-permutation.js";
import { precisionRecall } from "./precision-recall.js";

const fixture = new URL("../../test/fixtures/metrics.json", import.meta.url);
const expected = JSON.parse(readFileSync(fixture, "utf8"));

const numbers = (tensor: Tensor): number[] => [...tensor.toArray()].map(Number);
const largest = (tensor: Tensor): number => tensor.abs().amax().item();

let before: number;
beforeEach(() => {
  before = liveTensors();
});

/** Runs a test's body in a scope; what it keeps it must dispose of. */
const inScope = (body: () => void) => () => scope(body);
afterEach(() => expect(liveTensors(), "tensors left behind").toBe(before));

describe("the Inception Score", () => {
  const logits = (): Tensor => formula([103, 17], 6, 4);
  const scoreOf = (options: ConstructorParameters<typeof InceptionScore>[0], splits?: number) => {
    const score = new InceptionScore(options);
    for (const batch of logits().split([40, 1, 62])) score.update(batch);
    const result = score.compute(splits);
    score.dispose();
    return result;
  };

  test(
    "is the definition's, whether the number of pictures is known or not",
    inScope(() => {
      for (const count of [{ count: 103 }, {}]) {
        const of = (order: "listed" | "shuffled", splits?: number) =>
          scoreOf({ ...count, order }, splits);
        for (const [result, wanted] of [
          [of("listed"), expected.inceptionScore.listed],
          [of("listed", 2), expected.inceptionScore.halves],
          [of("listed", 1), expected.inceptionScore.whole],
          [of("shuffled"), expected.inceptionScore.shuffled],
        ]) {
          expect(result.mean / wanted.mean).toBeCloseTo(1, 6);
          expect(result.deviation).toBeCloseTo(wanted.deviation, 6);
        }
      }
    }),
  );

  test(
    "goes on from a saved state",
    inScope(() => {
      const [first, second] = logits().split([50, 53]);
      const score = new InceptionScore({ count: 103 });
      score.update(first!);
      const resumed = new InceptionScore({ count: 103 });
      resumed.restore(score.state()!);
      resumed.update(second!);
      expect(resumed.compute()).toEqual(scoreOf({ count: 103 }));
      score.dispose();
      resumed.dispose();
    }),
  );

  test(
    "of parts looked at apart, in any order, is that of the whole",
    inScope(() => {
      const [first, second] = logits().split([50, 53]);
      const of = () => new InceptionScore({ count: 103, order: "shuffled" });
      const [a, b] = [of(), of()];
      b.update(
        second!,
        Array.from({ length: 53 }, (_, i) => 50 + i),
      );
      a.merge(b);
      a.update(
        first!,
        Array.from({ length: 50 }, (_, i) => i),
      );
      const { mean, deviation } = scoreOf({ count: 103, order: "shuffled" });
      expect(a.compute().mean).toBeCloseTo(mean, 12);
      expect(a.compute().deviation).toBeCloseTo(deviation, 12);
      for (const score of [a, b]) score.dispose();
    }),
  );

  test(
    "refuses fewer pictures than splits, and a set of another size than announced",
    inScope(() => {
      expect(() => new InceptionScore({ count: 9 })).toThrow(/at least 10 pictures.*received 9/);
      const score = new InceptionScore({ count: 12 });
      expect(() => score.update(zeros([13, 4]))).toThrow(/Expected 12 pictures.*received more/);
      score.update(zeros([11, 4]));
      expect(() => score.compute()).toThrow(/Expected 12 pictures.*received 11/);
      score.update(zeros([1, 4]));
      expect(score.compute()).toEqual({ mean: 1, deviation: 0 });
      expect(() => score.compute(3)).toThrow(/divisor of 10/);
      expect(() => new InceptionScore().compute()).toThrow(/at least 10 pictures.*received 0/);
      score.dispose();
    }),
  );
});

test("the legacy permutation is numpy's, number for number", () => {
  const order = legacyPermutation(1500, 2020);
  const places = [0, 1, 2, 3, 750, 1498, 1499];
  expect(places.map((place) => order[place])).toEqual(expected.permutation);
  expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 1500 }, (_, i) => i));
});

describe("the kernel distance", () => {
  test(
    "is torchmetrics' where a subset is the whole set",
    inScope(() => {
      const [real, fake] = [features(150, 2), features(150, 3, 0.25)];
      const whole = features(300, 2).slice(0, 0, 150);
      const { mean, deviation, subsetSize } = kernelDistance(whole, fake, { subsets: 3 });
      expect(largest(real.sub(whole))).toBe(0);
      expect(mean / expected.kernelDistance).toBeCloseTo(1, 6);
      expect(deviation).toBeLessThan(1e-10);
      expect(subsetSize).toBe(150);
    }),
  );

  test(
    "of smaller subsets has the same mean, and its seed decides",
    inScope(() => {
      const [real, fake] = [features(150, 2), features(150, 3, 0.25)];
      const options = { subsets: 400, subsetSize: 50 };
      const { mean, deviation } = kernelDistance(real, fake, options);
      expect(Math.abs(mean - expected.kernelDistance)).toBeLessThan((4 * deviation) / 20);
      expect(kernelDistance(real, fake, { ...options, seed: 0 }).mean).toBe(mean);
      expect(kernelDistance(real, fake, { ...options, seed: 1 }).mean).not.toBe(mean);
      expect(() => kernelDistance(real, ones([150, 5]))).toThrow(/two sets of at least 2 features/);
    }),
  );
});

describe("precision and recall", () => {
  test(
    "are the definition's by brute force",
    inScope(() => {
      const [real, fake] = [features(300, 2), features(200, 3, 0.25)];
      expect(precisionRecall(real, fake)).toEqual(expected.precisionRecall);
    }),
  );

  test(
    "are 1 for a set against itself and 0 for sets far apart",
    inScope(() => {
      const set = features(50, 2);
      expect(precisionRecall(set, set)).toEqual({ precision: 1, recall: 1 });
      expect(precisionRecall(set, set.add(100))).toEqual({ precision: 0, recall: 0 });
      expect(() => precisionRecall(set, set.slice(0, 0, 3))).toThrow(/more than 3 features/);
    }),
  );
});

describe("the reservoir", () => {
  const rows = () =>
    Tensor.from(
      Float32Array.from({ length: 1000 }, (_, i) => i),
      [1000, 1],
    );
  const sorted = (reservoir: FeatureReservoir) =>
    numbers(reservoir.features()).sort((a, b) => a - b);

  test(
    "keeps all that fits, and an even sample of what does not",
    inScope(() => {
      const reservoir = new FeatureReservoir({ capacity: 200 });
      for (const batch of rows().slice(0, 0, 150).split([100, 50])) reservoir.update(batch);
      expect(sorted(reservoir)).toEqual(numbers(rows().slice(0, 0, 150)));
      for (const batch of rows().slice(0, 150).split([100, 700, 50])) reservoir.update(batch);
      const kept = sorted(reservoir);
      expect([kept.length, new Set(kept).size, reservoir.seen]).toEqual([200, 200, 1000]);
      const mean = kept.reduce((sum, value) => sum + value, 0) / kept.length;
      expect(Math.abs(mean - 499.5)).toBeLessThan(80); // four deviations of such a mean
      expect(() => reservoir.update(ones([1, 2]))).toThrow(/features \[N, 1\]/);
      reservoir.dispose();
    }),
  );

  test(
    "keeps the same whether the set came whole, in parts that were merged, or after a stop",
    inScope(() => {
      const make = () => new FeatureReservoir({ capacity: 200 });
      const range = (from: number, to: number) =>
        Array.from({ length: to - from }, (_, i) => from + i);
      const [whole, first, second, resumed] = [make(), make(), make(), make()];
      whole.update(rows());
      second.update(rows().slice(0, 700), range(700, 1000));
      first.update(rows().slice(0, 0, 300));
      resumed.restore(first.state()!);
      resumed.update(rows().slice(0, 300, 700));
      resumed.merge(second);
      expect(resumed.seen).toBe(1000);
      expect(numbers(resumed.features())).toEqual(numbers(whole.features()));
      const other = new FeatureReservoir({ capacity: 200, seed: 1 });
      other.update(rows());
      expect(numbers(other.features())).not.toEqual(numbers(whole.features()));
      for (const each of [whole, first, second, resumed, other]) each.dispose();
    }),
  );
});
