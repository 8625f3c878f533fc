// What a run begins with: the loader's settings of a recipe, the checkpoint to go on from, the first line of its log.
import { existsSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { ConfigError } from "../config-error.js";
import { torchVersion } from "../torch/index.js";
import { version } from "../version.js";
import { trainingBuckets } from "./buckets.js";
import { listCheckpoints } from "./checkpoint-folder.js";
import type { TrainConfig } from "./config.js";
import type { RunLine } from "./log.js";
import type { Recipe } from "./recipe.js";

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
