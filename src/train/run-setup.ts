// What a run begins with: its sets and their reader, the checkpoint to go on from, the first line of its log.
import { existsSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { openTrainingData } from "../codec/latent-source.js";
import { ConfigError } from "../config-error.js";
import { type BatchReader, JointLoader, stillClips } from "../data/joint-loader.js";
import { Loader } from "../data/loader.js";
import { openSource, type Source } from "../data/source.js";
import { torchVersion } from "../torch/index.js";
import { version } from "../version.js";
import { trainingBuckets } from "./buckets.js";
import { listCheckpoints } from "./checkpoint-folder.js";
import type { TrainConfig } from "./config.js";
import type { RunLine } from "./log.js";
import type { Recipe } from "./recipe.js";

export interface RunSources {
  readonly training: Source;
  readonly evaluation: Source;
  /** Of joint training: seen in turn with the videos of `training`. */
  readonly pictures: Source | undefined;
}

/** Opens the sets of a recipe. */
export async function openSources({ data, evaluate, model }: TrainConfig): Promise<RunSources> {
  const { path, images } = data;
  const training = await openTrainingData(path, data);
  const other = evaluate.data ?? path;
  return {
    training,
    evaluation: other === path ? training : await openTrainingData(other, data),
    pictures: images && stillClips(await openSource(images.path), model.tubeletSize),
  };
}

/** What training reads from a sample on: one set, or videos and pictures in turn. */
export function openLoader(
  config: TrainConfig,
  { training, pictures }: RunSources,
  startSample: number,
): BatchReader {
  const open = (set: Source) => (start: number) => new Loader(set, loaderOptions(config, start));
  const share = config.data.images?.share;
  if (!pictures || share === undefined) return open(training)(startSample);
  const { batchSize } = config.train;
  const loaders = { videos: open(training), pictures: open(pictures) };
  return new JointLoader(loaders, { share, batchSize, startSample });
}

export function loaderOptions(config: TrainConfig, startSample: number) {
  const { data, train, seed } = config;
  const { size, concurrency, prefetch, cacheMiB, shuffleBuffer } = data;
  const still = { scale: [1, 1], ratio: [1, 1] } as const;
  const ranges = data.augment ? { scale: data.cropScale } : still;
  const flip = data.augment && data.flip ? 0.5 : 0;
  return {
    ...{ batchSize: train.batchSize, size, augment: true, seed, startSample },
    ...{ concurrency, prefetch, cacheMiB, shuffleBuffer, ranges: { ...ranges, flip } },
    buckets: trainingBuckets(config),
  };
}

/** The checkpoint to go on from. A folder that holds a run is never overwritten. */
export function findCheckpoint({
  out,
  resume,
}: {
  out: string;
  resume?: boolean | undefined;
}): string | undefined {
  const last = listCheckpoints(out).at(-1);
  if (resume) return last; // killed before its first checkpoint: from the start
  if (last)
    throw new ConfigError(
      `Expected a new folder for the run, received ${out}, which holds ${last}. Add --resume, or choose another --out.`,
    );
  if (existsSync(join(out, "run.jsonl"))) rmSync(join(out, "run.jsonl")); // a run that never saved anything
  return undefined;
}

/** The log's first line. */
export function runLine(
  config: TrainConfig,
  { variant, device }: Recipe,
  { command, resumedAtStep }: { command: string; resumedAtStep: number | undefined },
): RunLine {
  return {
    type: "run",
    ...{ variant, config, version, seed: config.seed, device },
    engine: `libtorch ${torchVersion()}`,
    cores: availableParallelism(),
    command,
    startedAt: new Date().toISOString(),
    ...(resumedAtStep === undefined ? {} : { resumedAtStep }),
  };
}
