// The learning rate over the steps.

export interface Schedule {
  readonly peakLr: number;
  readonly steps: number;
  readonly warmupSteps: number;
}

/** Linear warm-up to the peak, then half a cosine to 0. `step` counts from 0; the rate of the update made in that step. */
export function cosineSchedule({ peakLr, steps, warmupSteps }: Schedule, step: number): number {
  if (step < warmupSteps) return (peakLr * (step + 1)) / warmupSteps;
  const progress = (step - warmupSteps) / Math.max(1, steps - warmupSteps);
  return 0.5 * peakLr * (1 + Math.cos(Math.PI * Math.min(1, progress)));
}
