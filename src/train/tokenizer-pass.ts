// What both stages do with a tokenizer in a step: pixels to posterior, sample and reconstruction, and the terms over them.
import type { Batch } from "../data/batch.js";
import { l1, mse, smoothL1 } from "../losses/pixel.js";
import type { Checkpointing } from "../nn/checkpointing.js";
import { gridOf } from "../tokenizer/config.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { Tensor } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import { keptLengths, posteriorNoise, randomSquares } from "./keyed-noise.js";

/** What a pass draws for each sample, on the CPU. */
export type PassDraws = {
  /** Of the posterior, [B, L, c]. */
  readonly noise: Tensor;
  /** Masked models: how many tokens are real, float32 [B]. */
  readonly keep?: Tensor;
};

/** Keyed by the samples' global indices; `size` is that of a sample. */
export function drawPass(
  { seed, model, train }: TrainConfig,
  indices: readonly number[],
  size: ClipSize,
): PassDraws {
  const { t, h, w } = gridOf(model, size);
  const length = model.latentTokens || t * h * w;
  const noise = posteriorNoise(seed, indices, [length, model.channels], "cpu");
  if (!model.maskable) return { noise };
  const limits = { minKeep: train.minKeep, length };
  return { noise, keep: Tensor.from(keptLengths(seed, indices, limits)) };
}

/** Of a batch's samples. */
export function sizeOf({ shape }: Pick<Batch, "shape">): ClipSize {
  const [, frames, height, width] = shape;
  return { frames, height, width };
}

interface PassOptions {
  /** In [-1, 1], or bytes. */
  readonly pixels: Tensor;
  /** Of drawPass(), on any device. */
  readonly draws: PassDraws;
  readonly checkpointing: Checkpointing | undefined;
  /** The encoder does not learn: nothing of it is recorded. */
  readonly isEncoderFrozen?: boolean;
}

/** pixels [B, 3, T, H, W] -> the reconstruction of a sample of their posterior, and its KL divergence. */
export function passThrough(
  tokenizer: Tokenizer,
  { pixels, draws, checkpointing, isEncoderFrozen = false }: PassOptions,
): { kl: Tensor; recon: Tensor } {
  const posterior = tokenizer.encode(pixels, isEncoderFrozen ? {} : { checkpointing });
  const { latent, kl } = posterior.draw(draws.noise.to({ device: pixels.device }));
  const { keep } = draws;
  return { kl, recon: tokenizer.decode(latent, posterior.grid, { keep, checkpointing }) };
}

/** The pixel terms that have a weight; mean squared error always, for the log. */
export function reconTerms(
  recon: Tensor,
  pixels: Tensor,
  { losses }: Pick<TrainConfig, "losses">,
): Record<string, Tensor> {
  return {
    mse: mse(recon, pixels),
    ...(losses.l1 ? { l1: l1(recon, pixels) } : {}),
    ...(losses.smoothL1 ? { smoothL1: smoothL1(recon, pixels) } : {}),
  };
}

/** What LPIPS and the discriminator look at: everything, or a random square of `losses.cropSize`. */
export function lossSquares(
  recon: Tensor,
  pixels: Tensor,
  { config, indices }: { config: TrainConfig; indices: readonly number[] },
): readonly [Tensor, Tensor] {
  const { losses, seed } = config;
  if (losses.cropSize === 0) return [recon, pixels];
  return randomSquares([recon, pixels] as const, losses.cropSize, {
    ...{ seed, indices, of: "lossCrop" },
  });
}

/** The weights of `losses` by term, those of the GAN aside: its weight follows the step. */
export function termWeights({ losses }: Pick<TrainConfig, "losses">): Record<string, number> {
  const { mse, l1, smoothL1, kl, lpips } = losses;
  return { mse, l1, smoothL1, kl, lpips };
}
