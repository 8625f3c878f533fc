// What a generator trains on: posterior samples of a folder of latents, or of pictures encoded as they come. And the facts
// that go into its folder: grid, classes, standardisation. Spec section 6.

import { latentGrid } from "../codec/encode-set.js";
import { momentsTensor } from "../codec/latent-loader.js";
import { readManifest, requireTokenizer } from "../codec/latent-set.js";
import { isLatentFolder } from "../codec/latent-source.js";
import {
  addSums,
  type ChannelStatistics,
  momentsOf,
  noSums,
  summarise,
  sumsOf,
} from "../codec/latent-statistics.js";
import { ConfigError } from "../config-error.js";
import { toDevice } from "../data/batch.js";
import { Loader } from "../data/loader.js";
import { openSource } from "../data/source.js";
import type { GeneratorFacts } from "../generator/facts.js";
import { Posterior } from "../tokenizer/posterior.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { noGrad, scope } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import type { TrainBatch } from "./recipe.js";

/** The posterior of a batch, float32, on the device; without gradients. */
export function posteriorOf(tokenizer: Tokenizer, batch: TrainBatch): Posterior {
  const { device } = tokenizer.encoder.norm.weight;
  return noGrad(() =>
    "moments" in batch
      ? new Posterior(momentsTensor(batch, device), { t: 1, h: 1, w: batch.shape[1] }, noSize)
      : tokenizer.encode(toDevice(batch, device)),
  );
}
const noSize = { frames: 0, height: 0, width: 0 }; // of latents nobody asks

/**
 * What the generator's folder says of its latents and classes.
 * @throws ConfigError for latents of another tokenizer or size, and for data without classes
 */
export async function describeLatents(
  config: TrainConfig,
  { tokenizer, hash }: { tokenizer: Tokenizer; hash: string },
): Promise<Omit<GeneratorFacts, "weights"> & { classes: number }> {
  const { path, size: side, frames } = config.data;
  const size = { frames, height: side, width: side };
  const grid = latentGrid(tokenizer.config, size);
  const fps = frames > 1 ? { fps: config.data.fps } : {};
  const facts = { grid, size, tokenizerHash: hash, ...fps };
  if (!isLatentFolder(path)) {
    const source = await openSource(path, config.data);
    const { mean, std } = await measure(config, tokenizer);
    const classNames = requireClasses(source.classes, path);
    return { ...facts, latentMean: mean, latentStd: std, classNames, classes: classNames.length };
  }
  const manifest = readManifest(path);
  requireTokenizer(manifest, { folder: path, hash });
  if (String(manifest.grid) !== String([grid.t, grid.h, grid.w]))
    throw new ConfigError(
      `Expected latents on a grid of ${grid.t} x ${grid.h} x ${grid.w} (data.size ${side}) in ${path}, received ${manifest.grid.join(" x ")} (size ${manifest.size}). Set data.size to ${manifest.size}, or encode the set again.`,
    );
  const classNames = requireClasses(manifest.classes, path);
  const { mean, std } = manifest;
  return { ...facts, latentMean: mean, latentStd: std, classNames, classes: classNames.length };
}

function requireClasses(classes: readonly string[], path: string): readonly string[] {
  if (classes.length) return classes;
  throw new ConfigError(
    `Expected data with classes for a generator, received ${path}, which has none. Put the pictures of each class into a folder of its own.`,
  );
}

/** Statistics over the first batches that training would see. */
async function measure(config: TrainConfig, tokenizer: Tokenizer): Promise<ChannelStatistics> {
  const { data, generator } = config;
  const source = await openSource(data.path, data);
  const loader = new Loader(source, {
    batchSize: 32,
    size: data.size,
    augment: true,
    seed: config.seed,
    ranges: { scale: [1, 1], ratio: [1, 1] },
  });
  let sums = noSums(tokenizer.config.channels);
  const wanted = Math.min(generator!.statisticsCount, source.length);
  for (let seen = 0; seen < wanted; seen += 32) {
    const batch = await loader.next();
    if (!batch) break;
    sums = addSums(
      sums,
      scope(() => sumsOf(momentsOf(posteriorOf(tokenizer, batch)))),
    );
  }
  loader.close();
  return summarise(sums);
}
