// Mixed resolution and aspect: every batch has one shape, drawn from a list, and as many samples as a budget of tokens
// allows, so that one run sees many sizes at the cost of one. A function of (seed, the batch's first sample): batches keep
// no state besides the loader's one number.
import type { Size } from "../media/clip.js";
import { randomStream } from "./random.js";

export interface BucketOptions {
  /** Sides of squares; a shape of another aspect has about as many pixels. */
  readonly sizes: readonly number[];
  /** Width over height. */
  readonly aspects: readonly number[];
  /** Heights and widths are multiples of it: the side of a patch. */
  readonly patchSize: number;
  /** Tokens of a batch, over all processes. */
  readonly tokens: number;
  /** Batches hold a multiple of so many samples: what processes and micro-batches share evenly. */
  readonly multipleOf: number;
}

export interface Bucket extends Size {
  /** Samples in a batch of this shape. */
  readonly batchSize: number;
}

const purpose = 5; // apart from loader.ts's and shards/order.ts's choices

/**
 * Every shape once, with its batch size; neighbouring sizes may round to one shape.
 * @throws RangeError where a shape's batch would be empty
 */
export function bucketsOf(options: BucketOptions): Bucket[] {
  const { sizes, aspects, patchSize, tokens, multipleOf } = options;
  const buckets = new Map<string, Bucket>();
  for (const size of sizes) {
    for (const aspect of aspects) {
      const rows = Math.max(1, Math.round(size / Math.sqrt(aspect) / patchSize));
      const columns = Math.max(1, Math.round((size * Math.sqrt(aspect)) / patchSize));
      const batchSize = Math.floor(tokens / (rows * columns) / multipleOf) * multipleOf;
      const shape = { height: rows * patchSize, width: columns * patchSize };
      if (batchSize === 0)
        throw new RangeError(
          `Expected a budget for ${multipleOf} samples of ${shape.height} x ${shape.width}, received ${tokens} tokens. ` +
            "Raise the batch size, or leave out the largest size.",
        );
      buckets.set(`${rows}x${columns}`, { ...shape, batchSize });
    }
  }
  return [...buckets.values()];
}

/** The bucket of the batch that begins with global sample `start`: each is as likely. */
export function bucketAt(buckets: readonly Bucket[], seed: number, start: number): Bucket {
  return buckets[randomStream(seed, purpose, start).int(buckets.length)]!;
}
