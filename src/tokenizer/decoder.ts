// A latent to pixels. Latent ViTok: mask tokens stand for the patches and read the code that follows them.
// Masked ViTok: code tokens after the kept ones are replaced by a learned mask token.
import { Block, runTower } from "../nn/block.js";
import type { Checkpointing } from "../nn/checkpointing.js";
import { Linear } from "../nn/linear.js";
import { LayerNorm } from "../nn/norm.js";
import { parameter } from "../nn/parameters.js";
import { type Grid, RopeTables } from "../nn/rope.js";
import { arange, cat, Tensor, where } from "../torch/index.js";
import { mlpHidden } from "../tower.js";
import type { TokenizerConfig } from "./config.js";
import { expandBatch } from "./encoder.js";
import { TubeletUnembed } from "./tubelet.js";

/** How many leading code tokens are real: one number, or one per sample. */
export type Keep = number | readonly number[];

export class Decoder {
  readonly fromLatent: Linear;
  readonly blocks: Block[];
  readonly norm: LayerNorm;
  readonly toPixels: TubeletUnembed;
  readonly latentPosition: Tensor | undefined; // [l, D]
  readonly patchMaskToken: Tensor | undefined; // [D]
  readonly maskToken: Tensor | undefined; // [c]
  readonly #ropes: RopeTables;

  constructor(config: TokenizerConfig) {
    const { width, depth, heads } = config.decoder;
    this.fromLatent = new Linear(config.channels, width);
    this.blocks = Array.from({ length: depth }, () => new Block(width, heads, mlpHidden(width)));
    this.norm = new LayerNorm(width);
    this.toPixels = new TubeletUnembed(width, { q: config.tubeletSize, p: config.patchSize });
    if (config.latentTokens) {
      this.latentPosition = parameter([config.latentTokens, width]);
      this.patchMaskToken = parameter([width]);
    }
    if (config.maskable) this.maskToken = parameter([config.channels]);
    this.#ropes = new RopeTables(width / heads);
  }

  /** latent [B, L, c] -> pixels [B, 3, T, H, W], not clamped; `keep` also as a float32 tensor [B], which a tracer can follow */
  forward(
    latent: Tensor,
    grid: Grid,
    options: { keep?: Keep | Tensor | undefined; checkpointing?: Checkpointing | undefined } = {},
  ): Tensor {
    const patches = grid.t * grid.h * grid.w;
    let x = this.fromLatent.forward(this.#mask(latent, options.keep)); // [B, L, D]
    if (this.latentPosition && this.patchMaskToken) {
      const masks = expandBatch(this.patchMaskToken.unsqueeze(0), x).expand([
        x.size(0),
        patches,
        x.size(2),
      ]);
      x = cat([masks, x.add(this.latentPosition.to({ dtype: x.dtype }))], 1); // [B, N + l, D]
    }
    x = runTower(
      this,
      x,
      this.#ropes.at(grid, x.size(1) - patches, x.device),
      options.checkpointing,
    );
    // a part of everything would still be copied on the way back
    return this.toPixels.forward(this.latentPosition ? x.narrow(1, 0, patches) : x, grid);
  }

  /** Replaces what follows the kept tokens by the mask token. */
  #mask(latent: Tensor, keep: Keep | Tensor | undefined): Tensor {
    if (keep === undefined || !this.maskToken) return latent;
    const [, length] = latent.shape as [number, number];
    const counts =
      keep instanceof Tensor ? keep : Tensor.from(typeof keep === "number" ? [keep] : keep);
    const position = arange(length, { device: counts.device }).reshape([1, length, 1]);
    const isKept = position.lt(counts.reshape([-1, 1, 1])).to({ device: latent.device }); // [B or 1, L, 1]
    return where(isKept, latent, this.maskToken.to({ dtype: latent.dtype }));
  }

  clearCache(): void {
    this.#ropes.clear();
  }
}
