// What encoding, decoding and evaluation need of an auto-encoder: ours (tokenizer.ts), or another's that is read as a
// baseline (formats/). Training, export and generation need the Tokenizer itself.
import type { Grid } from "../nn/rope.js";
import type { DType, Tensor } from "../torch/index.js";
import type { TokenizerConfig } from "./config.js";
import type { Keep } from "./decoder.js";
import type { ClipSize } from "./posterior.js";

/** The code of a batch: `mean` [B, L, c], the most likely latent, and what decoding needs besides. */
export interface Code {
  readonly mean: Tensor;
  /** [B, L, c]; absent where a model's code is a point and no distribution. */
  readonly logvar?: Tensor;
  readonly grid: Grid;
  readonly size: ClipSize;
}

export interface AutoEncoder {
  /** For reports: a variant, or a baseline's kind. */
  readonly name: string;
  readonly config: Pick<TokenizerConfig, "patchSize" | "tubeletSize" | "channels" | "latentTokens">;
  /** Where its weights lie, and of what type they are. */
  readonly placement: { readonly device: string; readonly dtype: DType };
  /** pixels [B, 3, T, H, W], floats in [-1, 1] or bytes as uint8; any size. */
  encode(pixels: Tensor): Code;
  /** latent [B, L, c] -> pixels [B, 3, T, H, W], float32, not clamped; `size` crops. */
  decode(
    latent: Tensor,
    grid: Grid,
    options?: { size?: ClipSize; keep?: Keep | undefined },
  ): Tensor;
  dispose(): void;
}
