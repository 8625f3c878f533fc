// A whole data set through the encoder into a folder of latents (latent-set.ts). The work is cut into shards: any number of
// processes takes every so-manieth, a shard that is there is not made again, and whoever finds the last one writes the manifest.
import { existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { writeFileAtomic } from "../atomic-file.js";
import { ConfigError } from "../config-error.js";
import { type Batch, toDevice } from "../data/batch.js";
import type { Source } from "../data/source.js";
import { createLoader, defaultWorkers } from "../data/threaded-loader.js";
import type { Grid } from "../nn/rope.js";
import { readSafetensorsHeader, writeSafetensors } from "../nn/safetensors.js";
import { gridOf, type TokenizerConfig, variantName } from "../tokenizer/config.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { cat, keep, noGrad, scope, stack, Tensor } from "../torch/index.js";
import { type LatentManifest, type LatentPlan, manifestName, shardName } from "./latent-set.js";
import {
  addSums,
  type ChannelSums,
  momentsOf,
  noSums,
  summarise,
  sumsOf,
} from "./latent-statistics.js";

export interface EncodeSetOptions {
  readonly out: string;
  readonly plan: LatentPlan;
  readonly batchSize: number;
  /** Files decoded at once. */
  readonly concurrency?: number;
  readonly rank?: number;
  readonly worldSize?: number;
  /** Files done and to do, of this process's share. */
  readonly onProgress?: (done: number, total: number) => void;
}

interface Unreadable {
  readonly file: string;
  readonly reason: string;
}

/** What a shard knows beside its tensors. */
interface ShardFacts {
  readonly plan: LatentPlan;
  readonly count: number;
  readonly sums: ChannelSums;
  readonly unreadable: readonly Unreadable[];
}

/**
 * Encodes this process's share of a source; the manifest, once no shard of any process is missing, else undefined.
 * @throws ConfigError where `out` holds shards made otherwise
 */
export async function encodeSet(
  tokenizer: Tokenizer,
  source: Source,
  options: EncodeSetOptions,
): Promise<LatentManifest | undefined> {
  const { out, plan, rank = 0, worldSize = 1, onProgress } = options;
  const shards = Array.from({ length: Math.ceil(source.length / plan.shardSize) }, (_, i) => i);
  const own = shards.filter((shard) => shard % worldSize === rank);
  const sizeOf = (shard: number) =>
    Math.min(plan.shardSize, source.length - shard * plan.shardSize);
  const total = own.reduce((sum, shard) => sum + sizeOf(shard), 0);
  mkdirSync(out, { recursive: true });
  await source.list?.(); // names and labels of a remote set
  let done = 0;
  for (const shard of own) {
    const path = join(out, shardName(shard));
    if (existsSync(path)) requireSamePlan(readFacts(path).plan, plan, path);
    else {
      const first = shard * plan.shardSize;
      const range = { first, end: first + sizeOf(shard) };
      const report = (count: number) => onProgress?.(done + count, total);
      await encodeShard(tokenizer, { source, ...range }, path, { ...options, report });
    }
    done += sizeOf(shard);
    onProgress?.(done, total);
  }
  const paths = shards.map((shard) => join(out, shardName(shard)));
  return paths.every((path) => existsSync(path))
    ? finish(out, { paths, plan, classes: source.classes })
    : undefined;
}

/** Places of a source, from `first` to before `end`. */
interface Range {
  readonly source: Source;
  readonly first: number;
  readonly end: number;
}

async function encodeShard(
  tokenizer: Tokenizer,
  { source, first, end }: Range,
  path: string,
  { plan, batchSize, concurrency = 4, report }: EncodeSetOptions & { report(done: number): void },
): Promise<void> {
  const loader = createLoader(source, {
    ...{ batchSize, size: plan.size, augment: false, concurrency },
    ...{ startSample: first, endSample: end },
    workers: defaultWorkers(tokenizer.placement.device),
  });
  const rows: Tensor[] = [];
  const [labels, places]: [number[], number[]] = [[], []];
  let sums = noSums(plan.channels);
  try {
    for await (const batch of loader) {
      const encoded = scope(() => encodeBatch(tokenizer, batch, plan));
      rows.push(keep(encoded.rows));
      sums = addSums(sums, encoded.sums);
      labels.push(...batch.labels);
      places.push(...batch.indices.map((index) => index - first));
      report(loader.sample - first);
    }
    if (!rows.length)
      throw new Error(`Expected readable files in ${source.name}, received none for ${path}.`);
    const { unreadable } = loader;
    const facts: ShardFacts = { plan, count: labels.length, sums, unreadable };
    scope(() => {
      const numbers = (values: number[]) => Tensor.from(Int32Array.from(values));
      const tensors = { moments: cat(rows), labels: numbers(labels), places: numbers(places) };
      writeSafetensors(path, tensors, { facts: JSON.stringify(facts) });
    });
  } finally {
    for (const row of rows) row.dispose();
  }
}

/** Mean and log-variance of each picture, and of its mirror image: [B, V, L, 2c] on the CPU, and the sums over them. */
function encodeBatch(
  tokenizer: Tokenizer,
  batch: Batch,
  { views, dtype }: LatentPlan,
): { rows: Tensor; sums: ChannelSums } {
  const { device } = tokenizer.encoder.norm.weight;
  const rows = noGrad(() => {
    const pixels = toDevice(batch, device);
    const seen = views === 2 ? [pixels, pixels.flip(-1)] : [pixels];
    const encoded = seen.map((view) => momentsOf(tokenizer.encode(view)));
    return stack(encoded, 1).to({ dtype }).to({ device: "cpu" });
  });
  if (rows.isFinite().all().item() === 0)
    throw new Error(
      `Expected latents that ${dtype} holds, received larger ones. The batch's files: ${batch.files.join(", ")}. Use --dtype bfloat16, or look at the tokenizer.`,
    );
  return { rows, sums: sumsOf(rows.flatten(0, 1)) };
}

function finish(
  out: string,
  { paths, plan, classes }: { paths: string[]; plan: LatentPlan; classes: readonly string[] },
): LatentManifest {
  const facts = paths.map((path) => {
    const found = readFacts(path);
    requireSamePlan(found.plan, plan, path);
    return found;
  });
  const { mean, std } = summarise(facts.map(({ sums }) => sums).reduce(addSums));
  const manifest: LatentManifest = {
    format: "vitok-latents-1",
    ...plan,
    count: facts.reduce((sum, { count }) => sum + count, 0),
    shards: facts.map(({ count }, shard) => ({ file: shardName(shard), count })),
    classes: [...classes],
    mean,
    std,
    unreadable: facts.flatMap(({ unreadable }) => unreadable),
  };
  writeFileAtomic(join(out, manifestName), `${JSON.stringify(manifest, null, 2)}\n`);
  return manifest;
}

function readFacts(path: string): ShardFacts {
  const { facts } = readSafetensorsHeader(path).metadata;
  if (facts !== undefined) return JSON.parse(facts) as ShardFacts;
  throw new ConfigError(
    `Expected a shard of latents in ${path}, received another file. Choose another --out.`,
  );
}

function requireSamePlan(found: LatentPlan, wanted: LatentPlan, path: string): void {
  const differing = (Object.keys(wanted) as (keyof LatentPlan)[]).filter(
    (key) => !isDeepStrictEqual(found[key], wanted[key]),
  );
  if (!differing.length) return;
  const lines = differing.map((key) => `${key} was ${found[key]}, is ${wanted[key]}`);
  throw new ConfigError(
    `Expected shards made as these are to be in ${path}, received others: ${lines.join("; ")}. Use the old values, or another --out.`,
  );
}

/** What a set's latents are, from who makes them of what. @throws ConfigError for a size that does not fit the tokenizer */
export function planSet(
  tokenizer: Tokenizer,
  source: Source,
  facts: Pick<
    LatentPlan,
    "tokenizerHash" | "setHash" | "size" | "dtype" | "views" | "shardSize"
  > & {
    frames: number;
  },
): LatentPlan {
  const { config } = tokenizer;
  const { frames, size, ...rest } = facts;
  const grid = latentGrid(config, { frames, height: size, width: size });
  return {
    ...rest,
    size,
    variant: variantName(config),
    source: source.name,
    length: source.length,
    grid: [grid.t, grid.h, grid.w],
    channels: config.channels,
  };
}

/** Tokens of a latent over (time, row, column); a code without a grid is 1 x 1 x its length. */
export function latentGrid(
  config: TokenizerConfig,
  size: { frames: number; height: number; width: number },
): Grid {
  const grid = gridOf(config, size);
  return config.latentTokens ? { t: 1, h: 1, w: config.latentTokens } : grid;
}
