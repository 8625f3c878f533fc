// Files of any size in their listed order, uncropped: read ahead in chunks, handed over in runs of one size.
// Crops of a set are data/loader.ts. Freed memory goes back to the system now and then, whoever reads.
import { batchOf } from "../data/batch.js";
import type { Clip } from "../media/clip.js";
import { emptyCache, scope, Tensor } from "../torch/index.js";

const batchesBetween = 20;

/**
 * Batches as they come, and every so many freed memory given back. The engine keeps it, and over a long set the files'
 * buffers, which the garbage collector frees late, cut what it keeps into pieces: large blocks then fit no more, and the
 * process grows by steps.
 */
export async function* releasing<T>(batches: AsyncIterable<T>): AsyncGenerator<T, void> {
  let seen = 0;
  for await (const batch of batches) {
    yield batch;
    if (++seen % batchesBetween === 0) emptyCache("cpu");
  }
}

interface Chunk<T> {
  readonly start: number;
  readonly items: T[];
}

/** Reads items 0 to count - 1, `chunk` at a time, the next ones while these are looked at. */
export function readAhead<T>(
  chunks: { count: number; chunk: number },
  read: (index: number) => Promise<T>,
): AsyncGenerator<Chunk<T>, void> {
  return releasing(readChunks(chunks, read));
}

async function* readChunks<T>(
  { count, chunk }: { count: number; chunk: number },
  read: (index: number) => Promise<T>,
): AsyncGenerator<Chunk<T>, void> {
  const readChunk = (start: number) =>
    Promise.all(Array.from({ length: Math.min(chunk, count - start) }, (_, i) => read(start + i)));
  let next = readChunk(0);
  for (let start = 0; start < count; start += chunk) {
    const items = await next;
    if (start + chunk < count) next = readChunk(start + chunk);
    next.catch(() => undefined); // reported when its turn comes
    yield { start, items };
  }
}

/** Neighbours of one size together, in their order: [start, end) of each run. */
export function runsOfOneSize(clips: readonly Clip[]): [start: number, end: number][] {
  const runs: [number, number][] = [];
  clips.forEach((clip, i) => {
    const before = clips[i - 1];
    if (before && shapeOf(before) === shapeOf(clip)) runs.at(-1)![1] = i + 1;
    else runs.push([i, i + 1]);
  });
  return runs;
}

/** "1 x 64 x 48": frames, height, width. */
export const shapeOf = ({ frames, height, width }: Clip): string =>
  `${frames} x ${height} x ${width}`;

/** Clips of one size as bytes, uint8 [B, 3, T, H, W]. */
export function stackClips(clips: readonly Clip[], device: string): Tensor {
  const { bytes, shape } = batchOf(clips);
  return scope(() =>
    Tensor.from(bytes, shape).to({ device }).permute([0, 4, 1, 2, 3]).contiguous(),
  );
}
