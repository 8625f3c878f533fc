// Pixels to the moments of the posterior. Latent ViTok: learned tokens follow the patches and carry the code.
// B batch, N patch tokens, D width, l latent tokens, c latent channels.
import { Block, runTower } from "../nn/block.js";
import type { Checkpointing } from "../nn/checkpointing.js";
import { Linear } from "../nn/linear.js";
import { LayerNorm } from "../nn/norm.js";
import { parameter } from "../nn/parameters.js";
import { type Grid, RopeTables } from "../nn/rope.js";
import { cat, type Tensor } from "../torch/index.js";
import { mlpHidden } from "../tower.js";
import type { TokenizerConfig } from "./config.js";
import { TubeletEmbed } from "./tubelet.js";

export class Encoder {
  readonly patchEmbed: TubeletEmbed;
  readonly blocks: Block[];
  readonly norm: LayerNorm;
  readonly toLatent: Linear; // mean, then log-variance
  readonly latentTokens: Tensor | undefined; // [l, D]
  readonly #ropes: RopeTables;

  constructor(config: TokenizerConfig) {
    const { width, depth, heads } = config.encoder;
    this.patchEmbed = new TubeletEmbed(width, { q: config.tubeletSize, p: config.patchSize });
    this.blocks = Array.from({ length: depth }, () => new Block(width, heads, mlpHidden(width)));
    this.norm = new LayerNorm(width);
    this.toLatent = new Linear(width, 2 * config.channels);
    if (config.latentTokens) this.latentTokens = parameter([config.latentTokens, width]);
    this.#ropes = new RopeTables(width / heads);
  }

  /** pixels [B, 3, T, H, W] in [-1, 1], or bytes -> moments [B, L, 2c] */
  forward(pixels: Tensor, grid: Grid, checkpointing?: Checkpointing): Tensor {
    let x = this.patchEmbed.forward(pixels); // [B, N, D]
    const latents = this.latentTokens?.size(0) ?? 0;
    if (this.latentTokens) x = cat([x, expandBatch(this.latentTokens, x)], 1); // [B, N + l, D]
    x = runTower(this, x, this.#ropes.at(grid, latents, x.device), checkpointing);
    if (latents) x = x.narrow(1, x.size(1) - latents, latents); // [B, l, D]
    return this.toLatent.forward(x);
  }

  clearCache(): void {
    this.#ropes.clear();
  }
}

/** tokens [n, D] for every sample of x [B, N, D], in x's dtype. */
export function expandBatch(tokens: Tensor, x: Tensor): Tensor {
  return tokens.to({ dtype: x.dtype }).expand([x.size(0), ...tokens.shape]);
}
