// `vitok metrics --real SRC --fake SRC`: the metrics between two sets of files, or of saved statistics.

import { openSource } from "../data/source.js";
import {
  type Part,
  type PictureSetOptions,
  saveSetStatistics,
  scorePictureSets,
} from "../evaluate/picture-sets.js";
import type { PictureSet } from "../evaluate/set-side.js";
import { pickDevice } from "../torch/index.js";
import { openOutput } from "./output.js";
import { openProgress, type Progress } from "./progress.js";
import { printScores, readPlan, type ScoreOptions } from "./scores.js";

interface MetricsOptions extends ScoreOptions {
  readonly real: string;
  readonly fake?: string;
  readonly saveStats?: string;
  readonly batchSize?: number;
  readonly device?: string;
  readonly json?: boolean;
}

const usageError = 2;

export async function run(_: readonly string[], options: MetricsOptions): Promise<number> {
  const output = openOutput(options);
  const plan = readPlan(options, output);
  if (!plan) return usageError;
  const { fake, saveStats } = options;
  if (!fake && !saveStats) {
    output.log("Expected --fake, or --save-stats to only make statistics of --real. Add one.");
    return usageError;
  }
  const progress = openParts();
  const scoring: PictureSetOptions = {
    ...plan,
    ...{ saveStats, batchSize: options.batchSize ?? 16 },
    device: pickDevice(options.device ?? "auto"),
    onProgress: progress.update,
  };
  const real = await openSet(options.real);
  if (!fake) {
    await saveSetStatistics(real, scoring).finally(progress.stop);
    output.print(`Statistics  ${saveStats}`);
    output.result({ statistics: saveStats });
    return 0;
  }
  const scores = await scorePictureSets(real, await openSet(fake), scoring).finally(progress.stop);
  printScores(scores, output);
  output.result(scores);
  return 0;
}

async function openSet(spec: string): Promise<PictureSet> {
  if (spec.endsWith(".npz")) return spec;
  const source = await openSource(spec);
  await source.list?.(); // pairs are found by name
  return source;
}

/** A bar for each part of the work in turn. */
function openParts() {
  let bar: { part: Part; progress: Progress } | undefined;
  return {
    update(part: Part, done: number, total: number) {
      if (bar?.part !== part) {
        bar?.progress.stop();
        bar = { part, progress: openProgress(part, { total }) };
      }
      bar.progress.update(done);
    },
    stop: () => bar?.progress.stop(),
  };
}
