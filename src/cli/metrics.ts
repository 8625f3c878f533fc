// `vitok metrics --real SRC --fake SRC`: the metrics between two sets of files, or of saved statistics.

import { openSource } from "../data/source.js";
import {
  type Part,
  type PictureSetOptions,
  saveSetStatistics,
  scorePictureSets,
} from "../evaluate/picture-sets.js";
import { reportOf } from "../evaluate/reconstruction-report.js";
import type { PictureSet } from "../evaluate/set-side.js";
import type { Window } from "../media/video-info.js";
import { pickDevice } from "../torch/index.js";
import { openOutput } from "./output.js";
import { openProgress, type Progress } from "./progress.js";
import {
  printScores,
  publishScores,
  readPlan,
  readWindow,
  type ScoreOptions,
  usualBatchSize,
} from "./scores.js";

interface MetricsOptions extends ScoreOptions {
  readonly real: string;
  readonly fake?: string;
  readonly saveStats?: string;
  readonly report?: string;
  readonly out?: string;
  readonly batchSize?: number;
  readonly device?: string;
  readonly json?: boolean;
}

const usageError = 2;

export async function run(_args: readonly string[], options: MetricsOptions): Promise<number> {
  const output = openOutput(options);
  const plan = readPlan(options, output);
  if (!plan) return usageError;
  const { fake, saveStats, report, out } = options;
  if (!fake && !saveStats) {
    output.log("Expected --fake, or --save-stats to only make statistics of --real. Add one.");
    return usageError;
  }
  const progress = openParts();
  const window = readWindow(options, plan);
  const device = pickDevice(options.device ?? "auto");
  const scoring: PictureSetOptions = {
    ...plan,
    ...{ saveStats, device, window, batchSize: options.batchSize ?? usualBatchSize(device) },
    ...(report ? { galleryCount: 12, classCount: 12 } : {}),
    onProgress: progress.update,
  };
  const real = await openSet(options.real, window);
  if (!fake) {
    await saveSetStatistics(real, scoring).finally(progress.stop);
    output.print(`Statistics  ${saveStats}`);
    output.result({ statistics: saveStats });
    return 0;
  }
  const scores = await scorePictureSets(real, await openSet(fake, window), scoring).finally(
    progress.stop,
  );
  const { gallery: _, ...result } = scores;
  const { set, fake: name, count } = scores.protocol;
  const title = `${name} against ${set}`;
  const summary = `${count} files, scored as they are.`;
  const kicker = "ViTok metrics of two sets";
  const sides = ["real", "fake"] as const;
  const page = { ...reportOf(scores), title, summary, kicker, sides };
  printScores(scores, output);
  await publishScores(result, { report, out }, { page, output });
  return 0;
}

async function openSet(spec: string, window: Window | undefined): Promise<PictureSet> {
  if (spec.endsWith(".npz")) return spec;
  const source = await openSource(spec, window);
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
