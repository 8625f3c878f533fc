// FID, IS and FVD from what was kept of two sets.
import { frechetDistance, sampleWarning } from "../metrics/frechet.js";
import type { Moments } from "../metrics/moments.js";
import { type Plan, scoreName } from "./plan.js";
import type { Scores } from "./scoreboard.js";
import type { SetStatistics } from "./set-statistics.js";

export interface SetScores {
  readonly metrics: Scores;
  /** Of the splits' Inception Scores. */
  readonly deviations: Scores;
  /** What a reader of the scores has to know. */
  readonly warnings: readonly string[];
}

interface Sides {
  readonly real: Pick<SetStatistics, "fid" | "fvd">;
  readonly fake: Pick<SetStatistics, "fid" | "fvd" | "is">;
  /** Before the names: r of reconstructions. */
  readonly prefix?: string;
}

/** The scores of a plan that are of sets. @throws an Error for sets of fewer than two pictures */
export function scoreSets(plan: Plan, { real, fake, prefix = "" }: Sides): SetScores {
  const metrics: Record<string, number> = {};
  const deviations: Record<string, number> = {};
  const warnings: string[] = [];
  for (const metric of ["fid", "fvd"] as const) {
    if (!plan.metrics.includes(metric)) continue;
    const name = prefix + scoreName(metric, plan);
    metrics[name] = meanDistance(real[metric], fake[metric]);
    const [first, second] = [real[metric][0]!, fake[metric][0]!];
    const warning = sampleWarning(...(first.count === second.count ? [first] : [first, second]));
    if (warning) warnings.push(`${name}: ${warning}`);
  }
  if (plan.metrics.includes("is")) {
    const scores = fake.is.map((score) => score.compute());
    metrics[`${prefix}IS`] = mean(scores.map((score) => score.mean));
    deviations[`${prefix}IS`] = mean(scores.map((score) => score.deviation));
  }
  return { metrics, deviations, warnings };
}

/** Of all frames, or of each frame index and then the mean. */
function meanDistance(real: readonly Moments[], fake: readonly Moments[]): number {
  if (real.length !== fake.length)
    throw new Error(
      `Expected clips of ${real.length} frames on both sides, received ${fake.length}. Cut them alike.`,
    );
  return mean(real.map((moments, frame) => frechetDistance(moments, fake[frame]!)));
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
