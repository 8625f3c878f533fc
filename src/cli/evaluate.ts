// `vitok evaluate MODEL --data SRC`: reconstruction scores with the protocol they were measured by, and a page of pictures.

import { openSource } from "../data/source.js";
import {
  evaluateReconstruction,
  type ReconstructionMetric,
  type ReconstructionScores,
  reconstructionMetrics,
} from "../evaluate/reconstruction.js";
import { reportOf } from "../evaluate/reconstruction-report.js";
import { writeReport } from "../evaluate/report.js";
import type { TrunkName } from "../perceptual/lpips.js";
import { weightStatus } from "../perceptual/weights.js";
import { variantName } from "../tokenizer/config.js";
import { loadModel, type PlacementOptions } from "./model.js";
import { type Output, openOutput, styled, table } from "./output.js";
import { openProgress } from "./progress.js";

interface EvaluateCommandOptions extends PlacementOptions {
  readonly data: string;
  readonly metrics: readonly string[];
  readonly lpipsTrunk?: TrunkName;
  readonly size?: number;
  readonly count?: number;
  readonly batchSize?: number;
  readonly keep?: number;
  readonly report?: string;
  readonly json?: boolean;
}

const usageError = 2;

export async function run(
  [target = ""]: readonly string[],
  options: EvaluateCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const unknown = options.metrics.find((name) => !isMetric(name));
  if (unknown !== undefined) {
    output.log(
      `Expected metrics of ${reconstructionMetrics.join(", ")}, received "${unknown}". Leave it out.`,
    );
    return usageError;
  }
  const metrics = options.metrics.filter(isMetric);
  const { data, report, count, keep } = options;
  const source = await openSource(data);
  const { tokenizer, ...model } = await loadModel(target, options);
  const progress = openProgress("evaluate", { total: Math.min(count ?? Infinity, source.length) });
  const lpipsTrunk = options.lpipsTrunk ?? (metrics.includes("lpips") ? bestTrunk() : undefined);
  const scores = await evaluateReconstruction(tokenizer, source, {
    ...{ metrics, count, keep, lpipsTrunk },
    size: options.size ?? model.size,
    batchSize: options.batchSize ?? 16,
    galleryCount: report ? 12 : 0,
    model: model.id,
    onProgress: (done) => progress.update(done),
  }).finally(progress.stop);
  tokenizer.dispose();

  const title = variantName(tokenizer.config);
  const command = `npx vitok evaluate ${target} --data ${data} --metrics ${metrics.join(",")}`;
  const summary = `${model.folder} on ${scores.protocol.count} pictures of ${source.name}.`;
  const page =
    report && (await writeReport(report, { ...reportOf(scores), title, summary, command }));
  print(scores, output);
  if (page) output.print(`\nReport  ${page}`);
  const { gallery: _, ...numbers } = scores;
  output.result({
    model: model.folder,
    variant: title,
    ...numbers,
    ...(page ? { report: page } : {}),
  });
  return 0;
}

const isMetric = (name: string): name is ReconstructionMetric =>
  (reconstructionMetrics as readonly string[]).includes(name);

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

function print({ metrics, intervals, protocol, unreadable }: ReconstructionScores, output: Output) {
  const rows = Object.entries(metrics).map(([name, value]) => ({
    metric: name,
    mean: value.toFixed(4),
    "95 %": Number.isNaN(intervals[name]) ? "-" : `± ${intervals[name]!.toFixed(4)}`,
    network: name === "LPIPS" ? (protocol.lpips ?? "") : "",
  }));
  output.print(table(rows));
  output.print(`\n${styled("bold", "protocol")}`);
  for (const [name, value] of Object.entries(protocol)) output.print(`  ${name}: ${value ?? "-"}`);
  if (!unreadable.length) return;
  output.log(`\n${unreadable.length} files could not be read and are in no score:`);
  for (const { reason } of unreadable) output.log(`  ${reason}`);
}
