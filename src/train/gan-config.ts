// The `gan` section of a recipe: the discriminator of stage 2, its schedule and what watches over it.
// Paper: section 2 and figure 13; what is scaled with the steps of a shorter run is spec section 3.
import { z } from "zod";

const steps = z.int().nonnegative();

export const gan = z.strictObject({
  /** Share of StyleGAN2's channels, for small recipes. */
  width: z.number().positive().max(1).default(1),
  /** Constant after its warm-up. Default: 2e-5 per 256 samples of the batch. */
  peakLr: z.number().positive().optional(),
  /** Default: a quarter of the steps, the paper's 25k of 100k. */
  warmupSteps: steps.optional(),
  /** The decoder does not feel the discriminator for so many steps. Default: 5 % of the steps; video 2.5 %. */
  waitSteps: steps.optional(),
  /** Then the weight rises linearly over so many. Default: half of the steps; video a quarter. */
  rampSteps: steps.optional(),
  /** Weight of R1, every so many steps and that much heavier, as in StyleGAN2; 0 is without. */
  r1: z.number().nonnegative().default(0),
  r1Every: z.int().positive().default(16),
  /** Weight of LeCam's regulariser; 0 is without. */
  leCam: z.number().nonnegative().default(0),
  /** Watch for a discriminator that is too strong and for damage: back off, and roll back to the last good checkpoint. */
  guard: z.boolean().default(true),
  /** Too strong: its hinge loss, smoothed, below this (1 by chance, 0 when all are told apart). */
  strongBelow: z.number().min(0).max(1).default(0.1),
  /** Damage: the loss without the GAN term, smoothed, above so many times that of the start. */
  damageAbove: z.number().min(1).default(1.5),
  /** After so many rollbacks the next damage ends the run. */
  mostRollbacks: steps.default(3),
});

type Written = z.output<typeof gan>;
type Scheduled = "peakLr" | "warmupSteps" | "waitSteps" | "rampSteps";

/** With every default filled in. */
export type GanConfig = Omit<Written, Scheduled> & { readonly [K in Scheduled]: number };

export function completeGan(
  written: Written | undefined,
  run: { steps: number; batchSize: number; data: { frames: number } },
): GanConfig {
  const section = written ?? gan.parse({});
  const isVideo = run.data.frames > 1;
  const share = (part: number) => Math.round(part * run.steps);
  return {
    ...section,
    peakLr: section.peakLr ?? (2e-5 * run.batchSize) / 256,
    warmupSteps: section.warmupSteps ?? share(0.25),
    waitSteps: section.waitSteps ?? share(isVideo ? 0.025 : 0.05),
    rampSteps: section.rampSteps ?? share(isVideo ? 0.25 : 0.5),
  };
}

/** Weight of the GAN term in the decoder's loss: 0, then a linear rise to `weight`. `step` counts from 0. */
export function adversarialWeight(
  { waitSteps, rampSteps }: Pick<GanConfig, "waitSteps" | "rampSteps">,
  weight: number,
  step: number,
): number {
  if (step < waitSteps) return 0;
  return weight * Math.min(1, (step - waitSteps + 1) / Math.max(1, rampSteps));
}

/** The discriminator's rate: a linear warm-up, then constant. */
export function discriminatorLr(
  { peakLr, warmupSteps }: Pick<GanConfig, "peakLr" | "warmupSteps">,
  step: number,
): number {
  return peakLr * Math.min(1, (step + 1) / Math.max(1, warmupSteps));
}
