// ViTok, the auto-encoder: one path for images (clips of one frame) and video (spec section 1).
// B batch, T frames, H W pixels, L code tokens, c latent channels; pixels are float in [-1, 1].
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { ConfigError } from "../config-error.js";
import type { Checkpointing } from "../nn/checkpointing.js";
import { quantiseBlocks, requireFloat8, usesFloat8 } from "../nn/float8.js";
import { disposeModel, freeze, loadStateDict, moveTo, stateDict } from "../nn/parameters.js";
import type { Grid } from "../nn/rope.js";
import { readSafetensors, writeSafetensors } from "../nn/safetensors.js";
import { cat, type DType, noGrad, scope, Tensor } from "../torch/index.js";
import type { AutoEncoder } from "./auto-encoder.js";
import {
  fromJson,
  gridOf,
  parseVariant,
  type TokenizerConfig,
  toJson,
  variantName,
} from "./config.js";
import { Decoder, type Keep } from "./decoder.js";
import { Encoder } from "./encoder.js";
import { initialize } from "./init.js";
import { type ClipSize, Posterior } from "./posterior.js";

export interface Placement {
  /** "cpu" (the default), "cuda:0" */
  device?: string;
  /** Of the weights; float32 by default. float8: bfloat16, the blocks' products from 8-bit copies, nothing learns. */
  dtype?: DType;
}

export class Tokenizer implements AutoEncoder {
  readonly encoder: Encoder;
  readonly decoder: Decoder;
  readonly #config: TokenizerConfig;

  /** All parameters zero: see create() and load(). */
  constructor(config: TokenizerConfig) {
    this.#config = config;
    this.encoder = new Encoder(config);
    this.decoder = new Decoder(config);
  }

  get config(): TokenizerConfig {
    return this.#config;
  }

  /** Its variant: "S-B/16". */
  get name(): string {
    return variantName(this.#config);
  }

  get placement(): { device: string; dtype: DType } {
    const { device, dtype } = this.encoder.norm.weight;
    const isFloat8 = [this.encoder, this.decoder].every(({ blocks }) => usesFloat8(blocks));
    return { device, dtype: isFloat8 ? "float8" : dtype };
  }

  /** A fresh model of a variant's name ("S-B/16") or a config, its weights drawn from `seed`. */
  static create(
    config: TokenizerConfig | string,
    options: Placement & { seed?: number } = {},
  ): Tokenizer {
    requirePlacement(options);
    const tokenizer = new Tokenizer(typeof config === "string" ? parseVariant(config) : config);
    initialize(tokenizer, options.seed ?? 0);
    place(tokenizer, options);
    return tokenizer;
  }

  /**
   * Loads a model folder: config.json and model.safetensors.
   * @throws an Error that names the file which is missing, damaged or of another shape, or what cannot do float8.
   */
  static async load(folder: string, options: Placement = {}): Promise<Tokenizer> {
    requirePlacement(options);
    const tokenizer = new Tokenizer(readConfig(folder));
    try {
      scope(() => loadStateDict(tokenizer, readSafetensors(join(folder, "model.safetensors"))));
      place(tokenizer, options);
      return tokenizer;
    } catch (error) {
      tokenizer.dispose();
      throw error;
    }
  }

  /** Writes a model folder, each file whole or not at all. `extra` are further keys of config.json. */
  save(folder: string, extra: Record<string, unknown> = {}): void {
    writeSafetensors(join(folder, "model.safetensors"), stateDict(this), { format: "pt" });
    writeFileAtomic(
      join(folder, "config.json"),
      `${JSON.stringify({ ...toJson(this.config), ...extra }, null, 2)}\n`,
    );
  }

  /**
   * pixels [B, 3, T, H, W] (or [B, 3, H, W]) -> posterior with mean, logvar [B, L, c]. Floats are pixels in [-1, 1], uint8 are
   * bytes of 0 to 255. Sizes that are no multiples of the tubelet are padded by repeating the last frame, row and column;
   * `posterior.size` remembers what to crop to.
   */
  encode(pixels: Tensor, options: { checkpointing?: Checkpointing | undefined } = {}): Posterior {
    const clip = pixels.ndim === 4 ? pixels.unsqueeze(2) : pixels;
    if (clip.ndim !== 5 || clip.size(1) !== 3)
      throw new TypeError(`Expected pixels [B, 3, T, H, W] or [B, 3, H, W], received ${pixels}.`);
    const [frames, height, width] = clip.shape.slice(2) as [number, number, number];
    const padded = this.#pad(clip);
    const [t, h, w] = padded.shape.slice(2) as [number, number, number];
    const grid = gridOf(this.config, { frames: t, height: h, width: w });
    const moments = this.encoder.forward(padded, grid, options.checkpointing);
    return new Posterior(moments, grid, { frames, height, width });
  }

  /**
   * latent [B, L, c] -> pixels [B, 3, T, H, W], float32, not clamped. `keep` (Masked ViTok): how many leading tokens are
   * real, one number or one per sample; or a tensor [B], whose numbers nobody checks. `size` crops, as `posterior.size` says.
   */
  decode(
    latent: Tensor,
    grid: Grid,
    options: {
      keep?: Keep | Tensor | undefined;
      size?: ClipSize;
      checkpointing?: Checkpointing | undefined;
    } = {},
  ): Tensor {
    this.#checkLatent(latent, grid, options.keep);
    const { dtype } = this.decoder.norm.weight;
    const pixels = this.decoder
      .forward(latent.to({ dtype }), grid, options)
      .to({ dtype: "float32" });
    const { size } = options;
    if (!size) return pixels;
    return pixels.narrow(2, 0, size.frames).narrow(3, 0, size.height).narrow(4, 0, size.width);
  }

  /** pixels -> posterior mean -> pixels of the same size, clamped to [-1, 1]: what evaluation looks at. */
  reconstruct(pixels: Tensor, options: { keep?: Keep | undefined } = {}): Tensor {
    return noGrad(() => {
      const posterior = this.encode(pixels);
      const { grid, size } = posterior;
      const recon = this.decode(posterior.mode(), grid, { ...options, size }).clamp(-1, 1);
      return pixels.ndim === 4 ? recon.squeeze(2) : recon;
    });
  }

  dispose(): void {
    disposeModel(this);
    this.encoder.clearCache();
    this.decoder.clearCache();
  }

  #pad(clip: Tensor): Tensor {
    const { tubeletSize: q, patchSize: p } = this.config;
    return [q, p, p].reduce((x, multiple, axis) => {
      const dim = axis + 2;
      const missing = (multiple - (x.size(dim) % multiple)) % multiple;
      if (!missing) return x;
      const last = x.narrow(dim, x.size(dim) - 1, 1);
      return cat([x, ...Array.from({ length: missing }, () => last)], dim);
    }, clip);
  }

  #checkLatent(latent: Tensor, grid: Grid, keep: Keep | Tensor | undefined): void {
    const { latentTokens, channels, maskable } = this.config;
    const length = latentTokens || grid.t * grid.h * grid.w;
    if (latent.ndim !== 3 || latent.size(1) !== length || latent.size(2) !== channels)
      throw new TypeError(
        `Expected a latent [B, ${length}, ${channels}] for a grid of ${grid.t} x ${grid.h} x ${grid.w}, received ${latent}.`,
      );
    if (keep === undefined) return;
    if (!maskable)
      throw new ConfigError(
        "Expected a Masked ViTok for keep, received a model without a mask token. Leave keep out.",
      );
    if (keep instanceof Tensor) return;
    const counts = typeof keep === "number" ? [keep] : keep;
    const fits = counts.every((count) => Number.isInteger(count) && count >= 1 && count <= length);
    if (!fits || (typeof keep !== "number" && keep.length !== latent.size(0)))
      throw new RangeError(
        `Expected keep in 1 to ${length}, one number or ${latent.size(0)}, received ${JSON.stringify(keep)}.`,
      );
  }
}

/** @throws ConfigError for float8 on a device that cannot do it, before a weight is made or read */
function requirePlacement({ dtype, device = "cpu" }: Placement): void {
  if (dtype === "float8") requireFloat8(device);
}

/** @throws ConfigError for float8 of widths that cannot do it */
function place(tokenizer: Tokenizer, { dtype, ...options }: Placement): void {
  const isFloat8 = dtype === "float8";
  moveTo(tokenizer, { ...options, ...(dtype ? { dtype: isFloat8 ? "bfloat16" : dtype } : {}) });
  if (!isFloat8) return;
  freeze(tokenizer);
  for (const { blocks } of [tokenizer.encoder, tokenizer.decoder]) quantiseBlocks(blocks);
}

function readConfig(folder: string): TokenizerConfig {
  const path = join(folder, "config.json");
  try {
    return fromJson(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    if (cause instanceof ConfigError) throw cause;
    throw new Error(
      `Expected a model's config in ${path}: ${(cause as Error).message}. A model folder holds config.json and model.safetensors.`,
      { cause },
    );
  }
}
