// The loader in threads against the loader in one: the same batches, to the byte, of files made here. No other reference.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createClip } from "../media/clip.js";
import { encodeImage } from "../media/image.js";
import type { Batch } from "./batch.js";
import type { BatchStream } from "./batch-stream.js";
import { Loader } from "./loader.js";
import { openSource } from "./source.js";
import { createLoader, defaultWorkers } from "./threaded-loader.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-threads-"));
const count = 61; // one of them is broken
const training = { batchSize: 8, size: 16, augment: true, seed: 4, rank: 1, worldSize: 2 } as const;
const evaluation = { batchSize: 8, size: 16, augment: false } as const;

beforeAll(async () => {
  for (let index = 0; index < count; index++) {
    const bytes = Uint8Array.from({ length: 24 * 20 * 3 }, (_, i) => (i * (index + 3)) % 251);
    const png = await encodeImage(createClip(bytes, { height: 24, width: 20 }), "png");
    writeFileSync(
      join(folder, `${String(index).padStart(2, "0")}.png`),
      index === 7 ? png.subarray(0, 60) : png,
    );
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

async function take(stream: BatchStream, batches: number): Promise<Batch[]> {
  const taken: Batch[] = [];
  while (taken.length < batches) taken.push((await stream.next())!);
  stream.close();
  return taken;
}

async function all(stream: BatchStream): Promise<Batch[]> {
  const taken: Batch[] = [];
  for await (const batch of stream) taken.push(batch);
  return taken;
}

describe("a loader of three threads", () => {
  it("sees in training what one thread sees, from any sample on, a broken file replaced", async () => {
    const source = await openSource(folder);
    const one = await take(new Loader(source, training), 20);
    const threaded = createLoader(source, { ...training, workers: 3 });
    expect(await take(threaded, 20)).toEqual(one);
    expect(threaded.unreadable.map(({ file }) => file)).toEqual(["07.png"]);
    const from = { ...training, startSample: 5 * training.batchSize };
    const later = createLoader(source, { ...from, workers: 3 });
    expect(await take(later, 3)).toEqual(one.slice(5, 8));
    expect(later.sample).toBe(8 * training.batchSize);
  });

  it("ends an evaluation where one thread ends, the broken file left out", async () => {
    const source = await openSource(folder);
    for (const options of [evaluation, { ...evaluation, startSample: 16, endSample: 43 }]) {
      const threaded = createLoader(source, { ...options, workers: 3 });
      expect(await all(threaded)).toEqual(await all(new Loader(source, options)));
    }
  });

  it("passes on why it cannot go on, again and again", async () => {
    const damaged = await openSource(folder);
    const gone = Object.assign({}, damaged, {
      origin: { spec: join(folder, "nothing"), window: undefined },
    });
    const threaded = createLoader(gone, { ...training, workers: 2 });
    await expect(threaded.next()).rejects.toThrow(/nothing/);
    await expect(threaded.next()).rejects.toThrow(/nothing/);
    threaded.close();
  });

  it("reads in this thread what no other thread can open", async () => {
    const { origin: _, ...source } = await openSource(folder);
    expect(createLoader(source, { ...training, workers: 3 })).toBeInstanceOf(Loader);
    expect(defaultWorkers("cpu")).toBe(0);
    expect(defaultWorkers("cuda:0")).toBeGreaterThan(0);
  });
});
