// FID, FID-infinity, KID, precision and recall, IS and FVD from what was kept of two sets.
import type { FeatureReservoir } from "../metrics/feature-reservoir.js";
import { extrapolateFrechet, frechetDistance, sampleWarning } from "../metrics/frechet.js";
import { kernelDistance } from "../metrics/kernel-distance.js";
import type { Moments } from "../metrics/moments.js";
import { precisionRecall } from "../metrics/precision-recall.js";
import { scope } from "../torch/index.js";
import { type MetricName, type Plan, scoreName } from "./plan.js";
import type { Scores } from "./scoreboard.js";
import type { SetStatistics } from "./set-statistics.js";

export interface SetScores {
  readonly metrics: Scores;
  /** Of the splits' Inception Scores, of the subsets' kernel distances. */
  readonly deviations: Scores;
  /** What a reader of the scores has to know. */
  readonly warnings: readonly string[];
}

interface Sides {
  readonly real: Pick<SetStatistics, "fid" | "fvd"> & Partial<Pick<SetStatistics, "features">>;
  readonly fake: Pick<SetStatistics, "fid" | "fvd" | "is"> &
    Partial<Pick<SetStatistics, "features">>;
  /** Before the names: r of reconstructions. */
  readonly prefix?: string;
}

/** One metric's scores by the papers' names. */
interface Found {
  readonly metrics: Scores;
  readonly deviations?: Scores;
  readonly warning?: string | undefined;
}

type SetMetric = Extract<MetricName, "fid" | "fid-inf" | "kid" | "pr" | "is" | "fvd">;

const measures: Readonly<Record<SetMetric, (sides: Sides) => Found>> = {
  fid: ({ real, fake }) => distance("FID", real.fid, fake.fid),
  "fid-inf": ({ real, fake }) => {
    const [moments] = real.fid;
    const { distance } = withFeatures([fake.features], ([features]) =>
      extrapolateFrechet(moments!, features!),
    );
    return { metrics: { "FID-inf": distance }, warning: sampleWarning(moments!) };
  },
  kid: (sides) => {
    const { mean, deviation } = withFeatures(samplesOf(sides), ([real, fake]) =>
      kernelDistance(real!, fake!),
    );
    return { metrics: { KID: mean }, deviations: { KID: deviation } };
  },
  pr: (sides) => {
    const { precision, recall } = withFeatures(samplesOf(sides), ([real, fake]) =>
      precisionRecall(real!, fake!),
    );
    return { metrics: { Precision: precision, Recall: recall } };
  },
  is: ({ fake }) => {
    const scores = fake.is.map((score) => score.compute());
    return {
      metrics: { IS: mean(scores.map((score) => score.mean)) },
      deviations: { IS: mean(scores.map((score) => score.deviation)) },
    };
  },
  fvd: ({ real, fake }) => distance("FVD", real.fvd, fake.fvd),
};

/** The scores of a plan that are of sets. @throws an Error for sets of fewer than two pictures */
export function scoreSets(plan: Plan, sides: Sides): SetScores {
  const metrics: Record<string, number> = {};
  const deviations: Record<string, number> = {};
  const warnings: string[] = [];
  const called = (name: string) => (sides.prefix ?? "") + scoreName(name, plan);
  for (const [metric, measure] of Object.entries(measures)) {
    if (!plan.metrics.includes(metric as SetMetric)) continue;
    const found = measure(sides);
    for (const [name, value] of Object.entries(found.metrics)) metrics[called(name)] = value;
    for (const [name, value] of Object.entries(found.deviations ?? {}))
      deviations[called(name)] = value;
    const [first = ""] = Object.keys(found.metrics);
    if (found.warning) warnings.push(`${called(first)}: ${found.warning}`);
  }
  return { metrics, deviations, warnings };
}

/** Of all frames, or of each frame index and then the mean. */
function distance(name: string, real: readonly Moments[], fake: readonly Moments[]): Found {
  if (real.length !== fake.length)
    throw new Error(
      `Expected clips of ${real.length} frames on both sides, received ${fake.length}. Cut them alike.`,
    );
  const [first, second] = [real[0]!, fake[0]!];
  const sets = first.count === second.count ? [first] : [first, second];
  const value = mean(real.map((moments, frame) => frechetDistance(moments, fake[frame]!)));
  return { metrics: { [name]: value }, warning: sampleWarning(...sets) };
}

type Sample = readonly FeatureReservoir[] | undefined;

const samplesOf = ({ real, fake }: Sides): readonly Sample[] => [real.features, fake.features];

/** Lends copies of the features that were kept. */
function withFeatures<T>(
  samples: readonly Sample[],
  use: (features: ReturnType<FeatureReservoir["features"]>[]) => T,
): T {
  return scope(() => use(samples.map((sample) => sample![0]!.features())));
}

const mean = (values: readonly number[]): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;
