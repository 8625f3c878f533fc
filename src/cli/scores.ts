// What commands that score share: how metrics are asked for, and how scores and their passport are printed.

import { type PlanOptions, parseMetrics } from "../evaluate/plan.js";
import type { Protocol } from "../evaluate/protocol.js";
import type { TrunkName } from "../perceptual/lpips.js";
import { weightStatus } from "../perceptual/weights.js";
import { type Output, styled, table } from "./output.js";

/** The options of the command line that plan scores; commands.ts has checked their values. */
export interface ScoreOptions extends Omit<PlanOptions, "metrics" | "inceptionPath" | "i3dPath"> {
  readonly metrics: readonly string[];
  readonly inception?: string;
  readonly i3d?: string;
}

/** What to score; undefined, with a word on stderr, for a metric that is not known. */
export function readPlan(options: ScoreOptions, output: Output): PlanOptions | undefined {
  const { protocol, fidTap, fidInput, inception, i3d } = options;
  try {
    const metrics = parseMetrics(options.metrics);
    const lpipsTrunk = options.lpipsTrunk ?? (metrics.includes("lpips") ? bestTrunk() : undefined);
    return {
      metrics,
      protocol,
      fidTap,
      fidInput,
      lpipsTrunk,
      inceptionPath: inception,
      i3dPath: i3d,
    };
  } catch (error) {
    output.log((error as Error).message);
    return undefined;
  }
}

/** The first trunk in the papers' order of use whose weights are here; vgg, whose absence is then an error, where none is. */
function bestTrunk(): TrunkName {
  const here = new Set(weightStatus().flatMap(({ name, path }) => (path ? [name] : [])));
  const order = [
    ["vgg", "vgg16", "lpips-vgg"],
    ["alex", "alexnet", "lpips-alex"],
    ["squeeze", "squeezenet", "lpips-squeeze"],
  ] as const;
  return order.find(([, trunk, heads]) => here.has(trunk) && here.has(heads))?.[0] ?? "vgg";
}

interface Printed {
  readonly metrics: Readonly<Record<string, number>>;
  readonly intervals: Readonly<Record<string, number>>;
  readonly deviations: Readonly<Record<string, number>>;
  readonly protocol: Protocol;
  readonly warnings: readonly string[];
}

/** A table of scores, the passport, and warnings on stderr. */
export function printScores(scores: Printed, output: Output): void {
  const { metrics, intervals, deviations, protocol, warnings } = scores;
  const spread = (name: string) => {
    if (name in deviations) return `± ${deviations[name]!.toFixed(4)} of the splits`;
    return Number.isFinite(intervals[name]) ? `± ${intervals[name]!.toFixed(4)}` : "-";
  };
  const rows = Object.entries(metrics).map(([metric, value]) => ({
    ...{ metric, value: value.toFixed(4), "95 %": spread(metric) },
  }));
  output.print(table(rows));
  output.print(`\n${styled("bold", "protocol")}`);
  for (const [name, value] of Object.entries(protocol))
    if (value !== null) output.print(`  ${name}: ${value}`);
  for (const warning of warnings) output.log(`\nwarning: ${warning}`);
}
