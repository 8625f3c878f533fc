// What a loader is asked for, its defaults, and what is refused. What it does with them is loader.ts.
import type { Filter } from "../media/resample.js";
import type { Bucket } from "./buckets.js";
import type { CropRanges } from "./transform.js";

export interface LoaderOptions {
  /** Clips in a global batch; each of `worldSize` processes gets its share of it. */
  batchSize: number;
  /** Height and width of the crops, pixels. */
  size: number;
  /**
   * true (training): endless, shuffled anew each epoch, random crops, unreadable files replaced.
   * false (evaluation): one pass in listed order, centre crops, unreadable files left out.
   */
  augment: boolean;
  seed?: number;
  /** Random crops of training; scale and ratio of [1, 1] leave centre crops and flips. */
  ranges?: Partial<CropRanges>;
  /** Training: shapes and batch sizes instead of `size` and `batchSize`, one drawn for each batch. */
  buckets?: readonly Bucket[];
  /** Resize filter of evaluation crops. */
  filter?: Filter;
  /** Where to begin: the `sample` of a loader that stopped. */
  startSample?: number;
  /** Evaluation: leave out a last batch that is not full. */
  dropLast?: boolean;
  /** Batches read ahead, and clips decoded at once. */
  prefetch?: number;
  concurrency?: number;
  /** Training: memory for decoded clips, so that later epochs of a small set decode nothing; 0 for none. */
  cacheMiB?: number;
  /** Training from shards: samples that are mixed with each other; the set's length and more is a full shuffle. */
  shuffleBuffer?: number;
  rank?: number;
  worldSize?: number;
  /** Evaluation: where to end; default: after the last clip. */
  endSample?: number | undefined;
  /** Which of how many threads this is that share a process's part of every batch; default: the only one. */
  thread?: { index: number; count: number };
}

type WithDefaults = Required<Omit<LoaderOptions, "endSample">> & Pick<LoaderOptions, "endSample">;

/** Every option with its value. @throws RangeError on what cannot be */
export function withDefaults(options: LoaderOptions): WithDefaults {
  const filled = {
    ...{ seed: 0, ranges: {}, filter: "bicubic" as const, startSample: 0, dropLast: false },
    ...{ prefetch: 2, concurrency: 4, cacheMiB: 512, shuffleBuffer: 16_384 },
    ...{ buckets: [], rank: 0, worldSize: 1, thread: { index: 0, count: 1 } },
    ...options,
  };
  const { batchSize, worldSize, augment, buckets } = filled;
  for (const name of [
    "batchSize",
    "size",
    "prefetch",
    "concurrency",
    "worldSize",
    "shuffleBuffer",
  ] as const) {
    if (!Number.isInteger(filled[name]) || filled[name] < 1) {
      throw new RangeError(
        `Expected a whole number of at least 1 for ${name}, received ${filled[name]}.`,
      );
    }
  }
  const sizes = buckets.length > 0 ? buckets.map((bucket) => bucket.batchSize) : [batchSize];
  const odd = augment ? sizes.find((samples) => samples % worldSize !== 0) : undefined;
  if (odd !== undefined) {
    throw new RangeError(
      `Expected a multiple of ${worldSize} processes for batchSize, received ${odd}.`,
    );
  }
  return filled;
}
