// The `generator` section of a recipe with `train.stage: generator`, and what the other sections are by default there.
// Spec section 6. The rest of the schema is config.ts.
import { z } from "zod";
import { predictions } from "../generator/config.js";
import { samplers } from "../generator/sampler.js";

const count = z.int().positive();
const share = z.number().min(0).max(1);

/** How samples of evaluations and grids are made. */
const sample = z.strictObject({
  sampler: z.enum(samplers).default("ddim"),
  steps: count.max(1000).default(250),
  guidance: z.number().nonnegative().default(1.5),
  guidanceInterval: z.tuple([share, share]).default([0, 1]),
  guidanceRescale: share.default(0),
  /** The grid: so many samples of each of the first so many classes. */
  perClass: count.default(4),
  classes: count.default(10),
  /** Samples for the scores; 0 leaves scores out. */
  scoreCount: z.int().nonnegative().default(0),
  batchSize: count.default(64),
});

export const generatorSection = z.strictObject({
  /** DiT-S, DiT-B, DiT-L, DiT-XL, perhaps with width, depth or heads replaced: DiT-Sw96d4h4. */
  variant: z.string(),
  prediction: z.enum(predictions).default("noise"),
  /** Folder of the trained tokenizer (a model or a run). */
  tokenizer: z.string().min(1),
  /** Share of the samples that are trained without their class, for guidance. */
  labelDropout: share.lt(1).default(0.1),
  /** The average's decay; smaller in the first steps: (1 + step) / (10 + step). */
  emaDecay: share.lt(1).default(0.9999),
  /** Pictures that are encoded to standardise latents, where the data are no folder of latents. */
  statisticsCount: count.default(2048),
  sample: sample.prefault({}),
});

export type GeneratorSection = z.output<typeof generatorSection>;

/** Defaults of `train` where a generator is trained: AdamW as DiT's, constant rate, no decay. */
export const generatorDefaults = {
  batchSize: 256,
  peakLr: 1e-4,
  warmupSteps: 0,
  weightDecay: 0,
  betas: [0.9, 0.999] as [number, number],
};
