// Batches of many shapes: what fits the budget, exact resume, any number of processes. On drawn pictures; no reference.
import fc from "fast-check";
import { expect, it } from "vitest";
import type { Batch } from "./batch.js";
import { bucketAt, bucketsOf } from "./buckets.js";
import { drawnSource } from "./drawn-source.js";
import { Loader } from "./loader.js";

const options = {
  sizes: [16, 24, 32],
  aspects: [1 / 2, 1, 2],
  ...{ patchSize: 8, tokens: 16 * 9, multipleOf: 2 },
};
const loading = { batchSize: 16, size: 24, seed: 4, augment: true, buckets: bucketsOf(options) };

async function take(startSample: number, count: number, more: object = {}): Promise<Batch[]> {
  const source = drawnSource({ count: 50, size: 40 });
  const loader = new Loader(source, { ...loading, startSample, ...more });
  const batches: Batch[] = [];
  while (batches.length < count) batches.push((await loader.next())!);
  loader.close();
  return batches;
}

it("gives each shape whole patches and as many samples as the budget allows", () => {
  const positive = fc.double({ min: 0.3, max: 3, noNaN: true });
  const sides = fc.array(fc.integer({ min: 8, max: 128 }), { minLength: 1, maxLength: 5 });
  fc.assert(
    fc.property(
      sides,
      fc.array(positive, { minLength: 1 }),
      fc.constantFrom(1, 2, 4),
      (sizes, aspects, multipleOf) => {
        const buckets = bucketsOf({ sizes, aspects, patchSize: 8, tokens: 6000, multipleOf });
        for (const { height, width, batchSize } of buckets) {
          expect([height % 8, width % 8, batchSize % multipleOf]).toEqual([0, 0, 0]);
          const each = (height / 8) * (width / 8);
          expect(batchSize * each).toBeLessThanOrEqual(6000);
          expect((batchSize + multipleOf) * each).toBeGreaterThan(6000);
        }
      },
    ),
  );
});

it("keeps the pixels of a size about the same at every aspect, and refuses what fits no batch", () => {
  const shapes = bucketsOf({ ...options, sizes: [32] }).map(({ height, width }) => [height, width]);
  expect(shapes).toEqual([
    [48, 24],
    [32, 32],
    [24, 48],
  ]);
  expect(() => bucketsOf({ ...options, sizes: [128] })).toThrow("for 2 samples of 184 x 88");
});

it("draws every shape about as often", () => {
  const counts = new Map(loading.buckets.map((bucket) => [bucket, 0]));
  for (let start = 0; start < 9000; start += 10) {
    const bucket = bucketAt(loading.buckets, 4, start);
    counts.set(bucket, counts.get(bucket)! + 1);
  }
  const expected = 900 / loading.buckets.length;
  for (const count of counts.values())
    expect(Math.abs(count - expected)).toBeLessThan(4 * Math.sqrt(expected));
});

it("shows many shapes in one run, every sample once an epoch, and resumes from one number", async () => {
  const whole = await take(0, 12);
  expect(new Set(whole.map(({ shape }) => shape.slice(2, 4).join("x"))).size).toBeGreaterThan(3);
  const indices = whole.flatMap((batch) => batch.indices);
  expect(indices).toEqual([...indices.keys()]);
  for (const steps of [1, 5, 9]) {
    const sample = whole.slice(0, steps).reduce((sum, { shape }) => sum + shape[0], 0);
    expect(await take(sample, 12 - steps, { prefetch: 3 })).toEqual(whole.slice(steps));
  }
});

it("shares each batch evenly between the processes, alike in shape", async () => {
  const whole = await take(0, 6);
  const [first, second] = [
    await take(0, 6, { rank: 0, worldSize: 2 }),
    await take(0, 6, { rank: 1, worldSize: 2 }),
  ];
  whole.forEach((batch, step) => {
    expect(first[step]!.shape).toEqual(second[step]!.shape);
    expect([...first[step]!.files, ...second[step]!.files]).toEqual(batch.files);
  });
  await expect(take(0, 1, { worldSize: 4 })).rejects.toThrow("multiple of 4 processes");
});
