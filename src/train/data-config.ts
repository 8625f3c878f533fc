// The `data` section of a recipe: what is read, how it is cut, and how far ahead.
import { z } from "zod";
import { buckets } from "./buckets.js";

const count = z.int().positive();
const share = z.number().min(0).max(1);

export const data = z.strictObject({
  /** A folder, or another source that data/source.ts opens, such as `drawn:train?count=2048`. */
  path: z.string().min(1),
  /** Side of the square crop, pixels. */
  size: count,
  /** Frames of a clip and their rate, for video. */
  frames: count.default(1),
  fps: z.number().positive().default(8),
  buckets: buckets.optional(),
  /** Joint training: pictures beside the videos, in this share of the steps, each a clip of one tubelet of equal frames. */
  images: z
    .strictObject({ path: z.string().min(1), share: share.gt(0).lt(1).default(0.5) })
    .optional(),
  /** Off: the evaluation crop, so every epoch sees the same pixels. */
  augment: z.boolean().default(true),
  /** Share of the picture's area that a random crop keeps: from, to. */
  cropScale: z.tuple([share.gt(0), share.gt(0)]).default([0.8, 1]),
  flip: z.boolean().default(true),
  /** Threads that read; default: some beside a GPU, none on a CPU (data/threaded-loader.ts). */
  workers: z.int().nonnegative().optional(),
  /** Files decoded at the same time, and batches kept ready. */
  concurrency: count.default(4),
  prefetch: count.default(2),
  /** Decoded pictures are kept between epochs up to this much memory. */
  cacheMiB: z.number().nonnegative().default(512),
  /** Shards: samples that are mixed with each other; the set's length and more is a full shuffle. */
  shuffleBuffer: count.default(16_384),
});
