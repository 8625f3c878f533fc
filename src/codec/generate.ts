// Clips out of noise: a generator's latents through its tokenizer's decoder. Sample i depends on the seed, i and its class,
// not on the batch it is made in. Files are the command's.
import { clipsOf } from "../data/batch.js";
import { keyedNoise } from "../data/noise.js";
import type { SampleOptions } from "../generator/latent-generator.js";
import type { Clip } from "../media/clip.js";
import { gridOf } from "../tokenizer/config.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { noGrad, scope } from "../torch/index.js";
import { latentGrid } from "./encode-set.js";
import type { Pipeline } from "./generator-folder.js";

export interface GenerateOptions extends Omit<SampleOptions, "labels" | "grid" | "onStep"> {
  readonly seed: number;
  /** Pixels and frames; default: what it was trained on. */
  readonly size?: ClipSize | undefined;
  /** Called after each of a batch's steps with the share of the batch that is done. */
  readonly onStep?: ((share: number) => void) | undefined;
}

/** Numbers that keep noise for sampling apart from noise of training. */
const purpose = 21;

/** What one sample is. */
export interface SampleRequest {
  readonly label: number;
  /** The sample's number: its noise is drawn by it and the seed. */
  readonly index: number;
  /** Its own seed, instead of that of the options. */
  readonly seed?: number | undefined;
}

/**
 * One clip for each sample, rounded to bytes.
 * @throws RangeError for a class out of range; ConfigError for a size that the tokenizer does not divide
 */
export function generateClips(
  { generator, tokenizer }: Pipeline,
  samples: readonly SampleRequest[],
  options: GenerateOptions,
): Clip[] {
  const { seed, size = generator.facts.size, onStep, ...rest } = options;
  const pixelGrid = gridOf(tokenizer.config, size);
  const grid = latentGrid(tokenizer.config, size);
  const { device } = tokenizer.decoder.norm.weight;
  return scope(() =>
    noGrad(() => {
      const noise = keyedNoise(
        samples.map((sample) => [sample.seed ?? seed, purpose, sample.index]),
        [grid.t * grid.h * grid.w, generator.config.channels],
        device,
      );
      const latents = generator.sample(noise, {
        ...rest,
        grid,
        labels: samples.map(({ label }) => label),
        onStep: (done, steps) => onStep?.(done / steps),
      });
      return clipsOf(tokenizer.decode(latents, pixelGrid, { size }));
    }),
  );
}
