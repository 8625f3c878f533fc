// What a service allows one request and all of them together. Memory is bounded by queue x (bodyBytes + decoded pixels).
import { z } from "zod";

const count = z.int().positive();

export const limitsSchema = z.strictObject({
  /** Bytes of a request's body. */
  bodyBytes: count.default(16 * 2 ** 20),
  /** Height x width of a picture. */
  pixels: count.default(2 ** 21),
  /** Frames of a clip. */
  frames: count.default(64),
  /** Frames x height x width of a clip, and of all samples that one request makes. */
  clipPixels: count.default(2 ** 23),
  /** Samples that one request makes. */
  samples: count.default(32),
  /** Steps of a sampler. */
  steps: count.default(250),
  /** Clips decoded at the same time, each by an ffmpeg; more of them wait. */
  decoders: count.default(2),
  /** Requests under way, reading, waiting and computing; more are answered with 429. */
  queue: count.default(128),
  /** Milliseconds until a body must have arrived. */
  uploadMs: count.default(15_000),
  /** Milliseconds until a request must have been computed. */
  computeMs: count.default(60_000),
  /** Samples computed at once. */
  batchSize: count.default(16),
  /** Milliseconds that a sample waits for company while nothing is being computed. */
  batchWaitMs: z.number().nonnegative().default(4),
});

export type Limits = z.infer<typeof limitsSchema>;
