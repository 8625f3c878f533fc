// What a run begins with: its sets and their reader, the checkpoint to go on from, the first line of its log; and its model's origin.
import { existsSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { openTrainingData } from "../codec/latent-source.js";
import { ConfigError } from "../config-error.js";
import { type BatchReader, JointLoader, stillClips } from "../data/joint-loader.js";
import { openSource, type Source } from "../data/source.js";
import { createLoader, defaultWorkers } from "../data/threaded-loader.js";
import { setFused } from "../nn/fused/choose.js";
import { setFlag, setNumThreads, torchVersion } from "../torch/index.js";
import { version } from "../version.js";
import { trainingBuckets } from "./buckets.js";
import { listCheckpoints } from "./checkpoint-folder.js";
import type { TrainConfig } from "./config.js";
import type { Team } from "./data-parallel.js";
import type { RunLine } from "./log.js";
import type { Recipe } from "./recipe.js";
import type { TrainOptions } from "./train-options.js";

/** The engine's switches, which are global. */
export function setEngine({ train }: TrainConfig, device: string): void {
  if (train.threads) setNumThreads(train.threads);
  if (device.startsWith("cuda")) {
    setFlag("tf32", train.tf32);
    setFlag("cudnnBenchmark", true);
  }
  setFused(train.kernels === "auto");
}

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

/** A process among those that train together, as Team has it. */
type Place = Pick<Team, "rank" | "size" | "device">;

/** What training reads from a sample on: one set, or videos and pictures in turn. */
export function openLoader(
  config: TrainConfig,
  { training, pictures }: RunSources,
  { startSample, place }: { startSample: number; place: Place },
): BatchReader {
  const open = (set: Source) => (start: number) =>
    createLoader(set, loaderOptions(config, start, place));
  const share = config.data.images?.share;
  if (!pictures || share === undefined) return open(training)(startSample);
  const { batchSize } = config.train;
  const loaders = { videos: open(training), pictures: open(pictures) };
  return new JointLoader(loaders, { share, batchSize, startSample });
}

/**
 * The loader's settings, from a sample on; each process gets its share of every batch.
 * @throws ConfigError where processes and micro-batches cannot share a batch evenly
 */
export function loaderOptions(
  config: TrainConfig,
  startSample: number,
  { rank, size: worldSize, device }: Place,
) {
  const { data, train, seed } = config;
  const parts = worldSize * train.accumulate;
  const [key, count] = data.buckets
    ? (["data.buckets.multipleOf", data.buckets.multipleOf ?? train.accumulate] as const)
    : (["train.batchSize", train.batchSize] as const);
  if (count % parts !== 0)
    throw new ConfigError(
      `Expected a multiple of ${worldSize} processes times train.accumulate (${train.accumulate}) for ${key}, ` +
        `received ${count}. The mean of parts is the batch's only where they are of one size.`,
    );
  const { size, concurrency, prefetch, cacheMiB, shuffleBuffer } = data;
  const { workers = defaultWorkers(device, worldSize) } = data;
  const still = { scale: [1, 1], ratio: [1, 1] } as const;
  const ranges = data.augment ? { scale: data.cropScale } : still;
  const flip = data.augment && data.flip ? 0.5 : 0;
  return {
    ...{ batchSize: train.batchSize, size, augment: true, seed, startSample },
    ...{ workers, concurrency, prefetch, cacheMiB, shuffleBuffer, ranges: { ...ranges, flip } },
    buckets: trainingBuckets(config),
    ...{ rank, worldSize },
  };
}

/** The checkpoint to go on from. A folder that holds a run is never overwritten. */
export function findCheckpoint(
  { out, resume }: { out: string; resume?: boolean | undefined },
  { isFirst }: Pick<Team, "isFirst">,
): string | undefined {
  const last = listCheckpoints(out).at(-1);
  if (resume) return last; // killed before its first checkpoint: from the start
  if (last)
    throw new ConfigError(
      `Expected a new folder for the run, received ${out}, which holds ${last}. Add --resume, or choose another --out.`,
    );
  if (isFirst && existsSync(join(out, "run.jsonl"))) rmSync(join(out, "run.jsonl")); // a run that never saved anything
  return undefined;
}

/** The log's first line. */
export function runLine(
  config: TrainConfig,
  { variant, device }: Recipe,
  {
    command,
    resumedAtStep,
    processes,
  }: Pick<RunLine, "command"> & {
    resumedAtStep: number | undefined;
    processes: number;
  },
): RunLine {
  return {
    type: "run",
    ...{ variant, config, version, seed: config.seed, device },
    engine: `libtorch ${torchVersion()}`,
    cores: availableParallelism(),
    ...(processes > 1 ? { processes } : {}),
    command,
    startedAt: new Date().toISOString(),
    ...(resumedAtStep === undefined ? {} : { resumedAtStep }),
  };
}

/** For the processes besides the first: nobody watches them. */
export function unwatched({ out, command, resume = false, signal }: TrainOptions): TrainOptions {
  return { out, command, resume, ...(signal ? { signal } : {}) };
}

/** What an exported model says of where it comes from. */
export function provenanceOf({ seed, data }: TrainConfig, steps: number) {
  const { path, size, frames, fps } = data;
  return { steps, seed, data: path, size, ...(frames > 1 ? { frames, fps } : {}) };
}
