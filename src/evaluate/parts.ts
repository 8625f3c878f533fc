// An evaluation cut into parts, one a process: runs of whole batches in the set's order, so that their scores together are
// those of one process.
import { extname } from "node:path";

/** One of `count` parts, from 0. */
export interface Part {
  readonly index: number;
  readonly count: number;
}

/** Samples from `start` to before `end`. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

/** The samples of a part; none where there are fewer batches than parts. */
export function rangeOf({ index, count }: Part, length: number, batchSize: number): Range {
  const batches = Math.ceil(length / batchSize);
  const at = (part: number) => Math.min(length, Math.floor((batches * part) / count) * batchSize);
  return { start: at(index), end: at(index + 1) };
}

/** `x/state.safetensors` -> `x/state.2-of-4.safetensors` */
export function pathOfPart(path: string, { index, count }: Part): string {
  const extension = extname(path);
  return `${path.slice(0, path.length - extension.length)}.${index + 1}-of-${count}${extension}`;
}

/** All parts of the same set, in their order. */
export const siblingsOf = ({ count }: Part): Part[] =>
  Array.from({ length: count }, (_, index) => ({ index, count }));
