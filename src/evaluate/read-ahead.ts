// Files of any size in their listed order, uncropped: read ahead in chunks, handed over in runs of one size.
// Crops of a set are data/loader.ts.
import { batchOf } from "../data/batch.js";
import type { Clip } from "../media/clip.js";
import { scope, Tensor } from "../torch/index.js";

/** Reads items 0 to count - 1, `chunk` at a time, the next ones while these are looked at. */
export async function* readAhead<T>(
  { count, chunk }: { count: number; chunk: number },
  read: (index: number) => Promise<T>,
): AsyncGenerator<{ start: number; items: T[] }, void> {
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
