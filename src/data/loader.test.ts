// The loader: exact resume, sharding, replacement of unreadable files, on sources made here. No reference.
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Clip, createClip } from "../media/clip.js";
import { MediaError } from "../media/error.js";
import type { Batch } from "./batch.js";
import { drawnSource } from "./drawn-source.js";
import { Loader, type LoaderOptions } from "./loader.js";
import type { Source } from "./source.js";

/** Pictures of one colour, their number; those in `broken` cannot be read; `reads` counts the loads. */
function numberedSource(length: number, broken: readonly number[] = []) {
  const source: Source & { reads: number } = {
    reads: 0,
    ...{ name: "numbers", length, classes: ["even", "odd"] },
    async load(index): Promise<Clip> {
      source.reads++;
      await new Promise((done) => setTimeout(done, (index * 7) % 3)); // finish out of order
      if (broken.includes(index)) throw new MediaError(source.id(index), "is broken");
      return createClip(new Uint8Array(8 * 8 * 3).fill(index), { height: 8, width: 8 });
    },
    id: (index) => `${index}.png`,
    label: (index) => index % 2,
  };
  return source;
}

const training = { batchSize: 4, size: 8, seed: 3, augment: true } as const;
const evaluation = { batchSize: 4, size: 8, augment: false } as const;

async function take(loader: Loader, count: number): Promise<Batch[]> {
  const batches: Batch[] = [];
  while (batches.length < count) batches.push((await loader.next())!);
  return batches;
}

async function all(source: Source, options: LoaderOptions): Promise<Batch[]> {
  const batches: Batch[] = [];
  for await (const batch of new Loader(source, options)) batches.push(batch);
  return batches;
}

describe("training", () => {
  it("sees every clip once in each epoch, in another order", async () => {
    const batches = await take(new Loader(numberedSource(10), training), 5); // two epochs, one batch across
    const files = batches.flatMap((batch) => batch.files);
    const [first, second] = [files.slice(0, 10), files.slice(10)];
    expect([...first].sort()).toEqual([...second].sort());
    expect(new Set(first).size).toBe(10);
    expect(first).not.toEqual(second);
    expect(batches.map(({ epoch, position }) => [epoch, position])).toEqual([
      ...[
        [0, 0],
        [0, 4],
        [0, 8],
        [1, 2],
        [1, 6],
      ],
    ]);
    expect(batches[2]!.indices).toEqual([8, 9, 10, 11]);
  });

  it("resumes in the middle of an epoch exactly, whatever is read ahead", async () => {
    const source = drawnSource({ count: 11, size: 24 });
    const options = { batchSize: 3, size: 16, seed: 9, augment: true };
    const whole = await take(new Loader(source, options), 9);
    const cut = fc.asyncProperty(
      fc.integer({ min: 1, max: 8 }),
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 6 }),
      async (steps, prefetch, concurrency) => {
        const before = new Loader(source, { ...options, prefetch, concurrency });
        await take(before, steps);
        const after = new Loader(source, { ...options, startSample: before.sample, cacheMiB: 0 });
        expect(await take(after, 9 - steps)).toEqual(whole.slice(steps));
      },
    );
    await fc.assert(cut, { numRuns: 12 });
  });

  it("shows any number of processes the same clips together", async () => {
    const source = drawnSource({ count: 10, size: 16 });
    const options = { batchSize: 6, size: 16, seed: 1, augment: true };
    const [whole] = await take(new Loader(source, options), 1);
    for (const worldSize of [2, 3, 6]) {
      const ranks = Array.from({ length: worldSize }, (_, rank) => rank);
      const shares = ranks.map((rank) =>
        take(new Loader(source, { ...options, rank, worldSize }), 1),
      );
      const batches = (await Promise.all(shares)).flat();
      expect(batches.flatMap(({ indices }) => indices)).toEqual(whole!.indices);
      expect(Buffer.concat(batches.map(({ bytes }) => bytes))).toEqual(Buffer.from(whole!.bytes));
    }
  });

  it("reads a small set once and keeps it, and reads again without a cache", async () => {
    const [kept, reread] = [numberedSource(4), numberedSource(4)];
    await take(new Loader(kept, { ...training, prefetch: 1 }), 3);
    await take(new Loader(reread, { ...training, prefetch: 1, cacheMiB: 0 }), 3);
    expect(kept.reads).toBe(4);
    expect(reread.reads).toBeGreaterThan(4);
  });

  it("refuses a batch that the processes cannot share", () => {
    const options = { ...training, worldSize: 3 };
    expect(() => new Loader(numberedSource(4), options)).toThrow("multiple of 3 processes");
    expect(() => new Loader(numberedSource(4), { ...training, batchSize: 0 })).toThrow("batchSize");
  });
});

describe("evaluation", () => {
  it("passes once through the set in its order, the last batch smaller", async () => {
    const batches = await all(numberedSource(10), evaluation);
    expect(batches.map(({ shape }) => shape[0])).toEqual([4, 4, 2]);
    expect(batches.flatMap(({ indices }) => indices)).toEqual([...Array(10).keys()]);
    expect(batches[1]!.labels).toEqual([0, 1, 0, 1]);
    expect(batches[1]!.bytes[8 * 8 * 3]).toBe(5);
    expect(await all(numberedSource(10), { ...evaluation, dropLast: true })).toHaveLength(2);
  });

  it("splits a set of any size between any processes without loss or repetition", async () => {
    const sizes = fc.asyncProperty(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 1, max: 7 }),
      fc.integer({ min: 1, max: 4 }),
      async (length, batchSize, worldSize) => {
        const seen: number[] = [];
        for (let rank = 0; rank < worldSize; rank++) {
          const options = { ...evaluation, batchSize, worldSize, rank };
          seen.push(
            ...(await all(numberedSource(length), options)).flatMap(({ indices }) => indices),
          );
        }
        expect(seen.sort((a, b) => a - b)).toEqual([...Array(length).keys()]);
      },
    );
    await fc.assert(sizes, { numRuns: 15 });
  });
});

describe("unreadable files", () => {
  it("are replaced in training by the next readable one, the same after a resume", async () => {
    const source = () => numberedSource(60, [7, 8]);
    const loader = new Loader(source(), training);
    const whole = await take(loader, 15);
    const files = whole.flatMap((batch) => batch.files);
    expect(files.filter((file) => file === "9.png")).toHaveLength(3);
    expect(loader.unreadable.map(({ file }) => file).sort()).toEqual(["7.png", "8.png"]);
    const resumed = new Loader(source(), { ...training, startSample: 32 });
    expect(await take(resumed, 7)).toEqual(whole.slice(8));
  });

  it("are left out of an evaluation and listed", async () => {
    const loader = new Loader(numberedSource(12, [2]), evaluation);
    const batches: Batch[] = [];
    for await (const batch of loader) batches.push(batch);
    const indices = batches.flatMap((batch) => batch.indices);
    expect(indices).toEqual([0, 1, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
    expect(loader.unreadable).toEqual([{ file: "2.png", reason: "2.png: is broken" }]);
  });

  it("stop the run where they are more than one in twenty, and at least three", async () => {
    const failure = all(numberedSource(20, [1, 2, 3]), evaluation);
    await expect(failure).rejects.toThrow(/received 3 of 20.*\n {2}1.png: is broken\n {2}2/);
    const alone = new Loader(numberedSource(1, [0]), training);
    await expect(alone.next()).rejects.toThrow("received 1 of 1");
  });

  it("do not hide other failures", async () => {
    const source = { ...numberedSource(4), load: () => Promise.reject(new TypeError("a bug")) };
    await expect(all(source, evaluation)).rejects.toThrow("a bug");
  });
});

it("measures waiting, and stops when closed", async () => {
  const loader = new Loader(numberedSource(8), training);
  await loader.next();
  expect(loader.waitMs).toBeGreaterThan(0);
  const pending = loader.next();
  loader.close();
  expect(await pending).toBeUndefined();
  expect(await loader.next()).toBeUndefined();
});
