// What commands that score share: how metrics are asked for, and how scores and their passport are printed.

import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { type PlanOptions, parseMetrics } from "../evaluate/plan.js";
import type { Protocol } from "../evaluate/protocol.js";
import { type ReportData, writeReport } from "../evaluate/report.js";
import type { Window } from "../media/video-info.js";
import type { TrunkName } from "../perceptual/lpips.js";
import { weightStatus } from "../perceptual/weights.js";
import { setFlag } from "../torch/index.js";
import { type Output, styled, table } from "./output.js";

/** The options of the command line that plan scores; commands.ts has checked their values. */
export interface ScoreOptions extends Omit<PlanOptions, "metrics" | "inceptionPath" | "i3dPath"> {
  readonly metrics: readonly string[];
  readonly frames?: number;
  readonly fps?: number;
  readonly inception?: string;
  readonly i3d?: string;
}

/** What to score; undefined, with a word on stderr, for a metric that is not known. */
export function readPlan(options: ScoreOptions, output: Output): PlanOptions | undefined {
  const { protocol, fidTap, fidInput, fvdInput, ssimBorder, tf32, inception, i3d } = options;
  try {
    const metrics = parseMetrics(options.metrics);
    setFlag("tf32", tf32 ?? false);
    const lpipsTrunk = options.lpipsTrunk ?? (metrics.includes("lpips") ? bestTrunk() : undefined);
    return {
      metrics,
      protocol,
      fidTap,
      fidInput,
      fvdInput,
      lpipsTrunk,
      ssimBorder,
      tf32,
      inceptionPath: inception,
      i3dPath: i3d,
    };
  } catch (error) {
    output.log((error as Error).message);
    return undefined;
  }
}

/** Which frames of a video make a clip: 16 at 8 a second for FVD; undefined for pictures. `usual` is what a model takes. */
export function readWindow(
  { frames, fps = 8 }: ScoreOptions,
  { metrics }: Pick<PlanOptions, "metrics">,
  usual = 1,
): Window | undefined {
  const count = frames ?? (metrics.includes("fvd") ? Math.max(16, usual) : usual);
  return count > 1 ? { frames: count, fps } : undefined;
}

/** Samples at a time where the user does not say: a GPU is not busy with few. */
export const usualBatchSize = (device: string): number => (device.startsWith("cuda") ? 64 : 16);

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
    if (name in deviations) return `${deviations[name]!.toFixed(4)} (deviation of the parts)`;
    return Number.isFinite(intervals[name]) ? `${intervals[name]!.toFixed(4)} (95 %)` : undefined;
  };
  const rows = Object.entries(metrics).map(([metric, value]) => ({
    ...{ metric, value: value.toFixed(4), "±": spread(metric) },
  }));
  output.print(table(rows));
  printProtocol(protocol, output);
  for (const warning of warnings) output.log(`\nwarning: ${warning}`);
}

export function printProtocol(protocol: object, output: Output): void {
  output.print(`\n${styled("bold", "protocol")}`);
  for (const [name, value] of Object.entries(protocol))
    if (value !== null) output.print(`  ${name}: ${value}`);
}

export interface Destination {
  readonly out?: string | undefined;
  readonly report?: string | undefined;
}

/** Writes scores.json into `out` and the page to `report`, as far as they are asked for, and tells where; the JSON, too. */
export async function publishScores(
  result: object,
  { out, report }: Destination,
  { page, output }: { page: ReportData; output: Output },
): Promise<void> {
  const command = `npx vitok ${process.argv.slice(2).map(quoted).join(" ")}`;
  const file = out && join(out, "scores.json");
  if (file) writeFileAtomic(file, `${JSON.stringify(result, null, 2)}\n`);
  const written = report && (await writeReport(report, { ...page, command }));
  if (written) output.print(`\nReport  ${written}`);
  if (file) output.print(`\nScores  ${file}`);
  output.result({ ...result, ...(written ? { report: written } : {}) });
}

/** As a shell takes it back. */
const quoted = (word: string): string =>
  /^[\w./:=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
