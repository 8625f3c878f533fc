// What both stages do with a tokenizer in a step: pixels to posterior, sample and reconstruction, and the terms over them.
import { l1, mse, smoothL1 } from "../losses/pixel.js";
import type { Checkpointing } from "../nn/checkpointing.js";
import type { Posterior } from "../tokenizer/posterior.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { Tensor } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import { keptLengths, posteriorNoise, randomSquares } from "./keyed-noise.js";

interface PassOptions {
  readonly pixels: Tensor;
  /** Global sample indices: the key of noise and kept lengths. */
  readonly indices: readonly number[];
  readonly config: TrainConfig;
  readonly checkpointing: Checkpointing | undefined;
  /** The encoder does not learn: nothing of it is recorded. */
  readonly isEncoderFrozen?: boolean;
}

/** pixels [B, 3, T, H, W] -> posterior, and the reconstruction of a sample of it. */
export function passThrough(
  tokenizer: Tokenizer,
  { pixels, indices, config, checkpointing, isEncoderFrozen = false }: PassOptions,
): { posterior: Posterior; recon: Tensor } {
  const { seed, model, train } = config;
  const posterior = tokenizer.encode(pixels, isEncoderFrozen ? {} : { checkpointing });
  const shape = posterior.mean.shape.slice(1);
  const latent = posterior.sample(posteriorNoise(seed, indices, shape, pixels.device));
  const keep = model.maskable
    ? keptLengths(seed, indices, { minKeep: train.minKeep, length: shape[0]! })
    : undefined;
  return { posterior, recon: tokenizer.decode(latent, posterior.grid, { keep, checkpointing }) };
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
  { config, indices }: Pick<PassOptions, "config" | "indices">,
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
