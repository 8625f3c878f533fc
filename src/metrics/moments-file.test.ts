// Checks statistics files: numpy's as other tools write them (test/fixtures/npz, exactly), our own and back (exactly), and
// what is refused.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, test } from "vitest";
import { features } from "../../test/formula.js";
import { writeNpz } from "../formats/npz.js";
import { eye, liveTensors, ones, scope, Tensor, zeros } from "../torch/index.js";
import { frechetDistance, sampleWarning } from "./frechet.js";
import { Moments } from "./moments.js";
import { loadMoments, readMomentsMetadata, saveMoments } from "./moments-file.js";

const theirs = fileURLToPath(new URL("../../test/fixtures/npz/statistics.npz", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "moments-"));
afterAll(() => rmSync(folder, { recursive: true }));

test("another tool's statistics are those of the features they were made from, without n", () => {
  const before = liveTensors();
  scope(() => {
    const own = new Moments(24);
    own.update(features(300, 2));
    const loaded = loadMoments(theirs);
    expect(loaded.covariance().sub(own.covariance()).abs().amax().item()).toBeLessThan(1e-12);
    expect(frechetDistance(loaded, own)).toBeLessThan(1e-9);
    expect(loaded.count).toBeNaN();
    expect(sampleWarning(loaded, own)).toBeUndefined();
    expect(readMomentsMetadata(theirs)).toEqual({});
    expect(() => loaded.update(ones([1, 24]))).toThrow(/with their number of samples/);
    expect(() => own.merge(loaded)).toThrow(/with their number of samples/);
    own.dispose();
    loaded.dispose();
  });
  expect(liveTensors()).toBe(before);
});

test("saved statistics come back with n and metadata, and go on", () => {
  const path = join(folder, "own.npz");
  const metadata = { network: "inception-2015", tap: "768", input: "299 × 299", set: "" };
  scope(() => {
    const [all, part] = [new Moments(24), new Moments(24)];
    all.update(features(300, 2));
    part.update(features(300, 2).slice(0, 0, 100));
    saveMoments(path, part, metadata);
    const first = readFileSync(path);
    saveMoments(path, part, metadata);
    expect(readFileSync(path).equals(first)).toBe(true);
    const resumed = loadMoments(path);
    resumed.update(features(300, 2).slice(0, 100));
    expect(resumed.count).toBe(300);
    expect(resumed.covariance().sub(all.covariance()).abs().amax().item()).toBeLessThan(1e-12);
    expect(readMomentsMetadata(path)).toEqual(metadata);
    for (const moments of [all, part, resumed]) moments.dispose();
  });
});

test("files without mu and sigma, of other shapes, or with other numbers are refused by name", () => {
  const path = join(folder, "bad.npz");
  const refused = (values: Record<string, Tensor>) => () => {
    writeNpz(path, values);
    loadMoments(path);
  };
  scope(() => {
    expect(refused({ mu: zeros([3]) })).toThrow(/arrays mu and sigma for .*bad\.npz/);
    expect(refused({ mu: zeros([3]), sigma: eye(4) })).toThrow(/received \[3\] and \[4,4\]/);
    const skewed = Tensor.from([1, 1, 0, 1], [2, 2]);
    expect(refused({ mu: zeros([2]), sigma: skewed })).toThrow(/symmetric sigma/);
    const broken = Tensor.from([1, 0, 0, Number.NaN], [2, 2]);
    expect(refused({ mu: zeros([2]), sigma: broken })).toThrow(/finite statistics/);
  });
});
