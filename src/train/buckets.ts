// Training at many resolutions and aspects: the recipe's `data.buckets`, and the shapes and batch sizes that follow from it.
// Which batch gets which shape is data/buckets.ts.
import { z } from "zod";
import { ConfigError } from "../config-error.js";
import { type Bucket, bucketsOf } from "../data/buckets.js";

const count = z.int().positive();

/** Batches of many shapes, each with about as many tokens as `train.batchSize` squares of `data.size`. */
export const buckets = z.strictObject({
  /** Sides of squares, pixels; a shape of another aspect has about as many pixels. */
  sizes: z.array(count).min(1),
  /** Width over height. */
  aspects: z.array(z.number().positive()).min(1).default([1]),
  /** Batches hold a multiple of so many samples: of the processes times `train.accumulate`. Default: `train.accumulate`. */
  multipleOf: count.optional(),
});

interface BucketedRecipe {
  readonly model: { readonly patchSize: number };
  readonly data: { readonly size: number; readonly buckets?: z.output<typeof buckets> | undefined };
  readonly train: { readonly batchSize: number; readonly accumulate: number };
}

/** The shapes of training batches; none where all have one. @throws ConfigError where one fits no batch */
export function trainingBuckets({ model, data, train }: BucketedRecipe): Bucket[] {
  if (!data.buckets) return [];
  const { sizes, aspects, multipleOf = train.accumulate } = data.buckets;
  const { patchSize } = model;
  if (multipleOf % train.accumulate !== 0)
    throw new ConfigError(
      `Expected a multiple of train.accumulate (${train.accumulate}) for data.buckets.multipleOf, received ${multipleOf}.`,
    );
  const tokens = train.batchSize * Math.floor(data.size / patchSize) ** 2;
  try {
    return bucketsOf({ sizes, aspects, patchSize, tokens, multipleOf });
  } catch (cause) {
    throw new ConfigError(`data.buckets: ${(cause as Error).message}`, { cause });
  }
}

/** The shortest side of any training batch: what a crop of fixed size must fit. */
export function shortestSide(config: BucketedRecipe): number {
  const sides = trainingBuckets(config).flatMap(({ height, width }) => [height, width]);
  return sides.length > 0 ? Math.min(...sides) : config.data.size;
}
