// diffusers' AutoencoderKL (Stable Diffusion, SDXL, Flux) as a baseline to evaluate: reads its folder, config.json and
// diffusion_pytorch_model.safetensors, or the folder of a whole pipeline. Layers are autoencoder-kl-layers.ts. Not trained here.
// B batch, L latent pixels, c latent channels, C channels inside.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../config-error.js";
import { toPixels } from "../nn/fused/pixels.js";
import { disposeModel, loadStateDict, moveTo } from "../nn/parameters.js";
import type { Grid } from "../nn/rope.js";
import { readSafetensors } from "../nn/safetensors.js";
import { cat, type DType, scope, type Tensor } from "../torch/index.js";
import { Convolution, DownStage, GroupNorm, MidBlock, UpStage } from "./autoencoder-kl-layers.js";
import { type ClipSize, type DecodeOptions, sizeOf } from "./baseline-options.js";

/** What of config.json decides the network. */
export interface AutoencoderKlConfig {
  readonly channels: readonly number[];
  readonly latentChannels: number;
  readonly layers: number;
  readonly groups: number;
  readonly hasMidAttention: boolean;
  readonly hasQuantConv: boolean;
  readonly hasPostQuantConv: boolean;
}

class Encoder {
  readonly convIn: Convolution;
  readonly downBlocks: readonly DownStage[];
  readonly midBlock: MidBlock;
  readonly convNormOut: GroupNorm;
  readonly convOut: Convolution;

  constructor({ channels, latentChannels, layers, groups, hasMidAttention }: AutoencoderKlConfig) {
    const [first, last] = [channels[0]!, channels.at(-1)!];
    this.convIn = new Convolution(3, first);
    this.downBlocks = channels.map(
      (outChannels, i) =>
        new DownStage({
          ...{ inChannels: channels[i - 1] ?? first, outChannels, layers, groups },
          isLast: i === channels.length - 1,
        }),
    );
    this.midBlock = new MidBlock(last, groups, hasMidAttention);
    this.convNormOut = new GroupNorm(last, groups);
    this.convOut = new Convolution(last, 2 * latentChannels);
  }

  forward(x: Tensor): Tensor {
    x = this.convIn.forward(x);
    for (const stage of this.downBlocks) x = stage.forward(x);
    return this.convOut.forward(this.convNormOut.forward(this.midBlock.forward(x)).silu());
  }
}

class Decoder {
  readonly convIn: Convolution;
  readonly upBlocks: readonly UpStage[];
  readonly midBlock: MidBlock;
  readonly convNormOut: GroupNorm;
  readonly convOut: Convolution;

  constructor({ channels, latentChannels, layers, groups, hasMidAttention }: AutoencoderKlConfig) {
    const upwards = [...channels].reverse();
    const [first, last] = [upwards[0]!, upwards.at(-1)!];
    this.convIn = new Convolution(latentChannels, first);
    this.midBlock = new MidBlock(first, groups, hasMidAttention);
    this.upBlocks = upwards.map(
      (outChannels, i) =>
        new UpStage({
          ...{ inChannels: upwards[i - 1] ?? first, outChannels, layers: layers + 1, groups },
          isLast: i === upwards.length - 1,
        }),
    );
    this.convNormOut = new GroupNorm(last, groups);
    this.convOut = new Convolution(last, 3);
  }

  forward(x: Tensor): Tensor {
    x = this.midBlock.forward(this.convIn.forward(x));
    for (const stage of this.upBlocks) x = stage.forward(x);
    return this.convOut.forward(this.convNormOut.forward(x).silu());
  }
}

export class AutoencoderKl {
  readonly encoder: Encoder;
  readonly decoder: Decoder;
  readonly quantConv: Convolution | undefined;
  readonly postQuantConv: Convolution | undefined;
  readonly #config: AutoencoderKlConfig;

  /** All parameters zero: see load(). */
  constructor(config: AutoencoderKlConfig) {
    const { latentChannels: c } = config;
    this.#config = config;
    this.encoder = new Encoder(config);
    this.decoder = new Decoder(config);
    if (config.hasQuantConv) this.quantConv = new Convolution(2 * c, 2 * c, 1);
    if (config.hasPostQuantConv) this.postQuantConv = new Convolution(c, c, 1);
  }

  /** @throws an Error naming the file which is missing, damaged or of another kind */
  static load(path: string, options: { device?: string; dtype?: DType } = {}): AutoencoderKl {
    const folder = folderOf(path);
    if (!folder)
      throw new ConfigError(`Expected a folder with an AutoencoderKL, received ${path}.`);
    return scope(() => {
      const model = new AutoencoderKl(readConfig(folder));
      loadStateDict(model, renamed(readSafetensors(weightsFileOf(folder))));
      moveTo(model, options);
      return model;
    });
  }

  /** The file of its weights. */
  static weightsFile(path: string): string {
    return weightsFileOf(folderOf(path) ?? path);
  }

  /** Whether a folder holds one, itself or, a pipeline's, under `vae`. */
  static isAt(path: string): boolean {
    return folderOf(path) !== undefined;
  }

  get config() {
    const { channels: stages, latentChannels: channels } = this.#config;
    return { patchSize: 2 ** (stages.length - 1), channels, tubeletSize: 1, latentTokens: 0 };
  }

  get name(): string {
    return `AutoencoderKL f${this.config.patchSize} c${this.#config.latentChannels}`;
  }

  get placement(): { device: string; dtype: DType } {
    const { device, dtype } = this.decoder.convIn.weight;
    return { device, dtype };
  }

  /** pixels [B, 3, T, H, W] in [-1, 1] or bytes -> mean and log-variance [B, L, c], frames one by one; odd sizes repeat the last row and column. */
  encode(pixels: Tensor): {
    mean: Tensor;
    logvar: Tensor;
    grid: Grid;
    size: ClipSize;
  } {
    const [batch, , frames, height, width] = pixels.shape as [
      number,
      number,
      number,
      number,
      number,
    ];
    const factor = this.config.patchSize;
    const padded = [3, 4].reduce((x, dim) => repeatLast(x, dim, factor), toPixels(pixels));
    const [h, w] = [padded.size(3) / factor, padded.size(4) / factor];
    const pictures = padded.transpose(1, 2).flatten(0, 1).to(this.placement); // [B T, 3, H, W]
    const moments = this.encoder.forward(pictures);
    const [mean, logvar] = (this.quantConv?.forward(moments) ?? moments)
      .to({ dtype: "float32" })
      .chunk(2, 1)
      .map((half) =>
        half
          .flatten(2)
          .transpose(1, 2)
          .reshape([batch, frames * h * w, half.size(1)]),
      ) as [...[Tensor, Tensor]];
    const grid = { t: frames, h, w };
    return {
      mean,
      logvar: logvar.clamp(-30, 20),
      grid,
      size: { frames, height, width },
    };
  }

  /** latent [B, L, c], as `encode` gives it: not scaled -> pixels [B, 3, T, H, W], float32, not clamped. */
  decode(latent: Tensor, { t, h, w }: Grid, options: DecodeOptions = {}): Tensor {
    const size = sizeOf(options);
    const pictures = latent
      .reshape([-1, h * w, latent.size(2)])
      .transpose(1, 2)
      .unflatten(2, [h, w]);
    const z = pictures.to(this.placement); // [B T, c, h, w]
    const decoded = this.decoder
      .forward(this.postQuantConv?.forward(z) ?? z)
      .to({ dtype: "float32" });
    const pixels = decoded.reshape([-1, t, ...decoded.shape.slice(1)]).transpose(1, 2);
    return size ? pixels.narrow(3, 0, size.height).narrow(4, 0, size.width) : pixels;
  }

  dispose(): void {
    disposeModel(this);
  }
}

function repeatLast(x: Tensor, dim: number, multiple: number): Tensor {
  const missing = (multiple - (x.size(dim) % multiple)) % multiple;
  const last = x.narrow(dim, x.size(dim) - 1, 1);
  return missing ? cat([x, ...Array.from({ length: missing }, () => last)], dim) : x;
}

function folderOf(path: string): string | undefined {
  return [path, join(path, "vae")].find((folder) => {
    const file = join(folder, "config.json");
    return existsSync(file) && classOf(file) === "AutoencoderKL";
  });
}

function classOf(file: string): unknown {
  try {
    return (JSON.parse(readFileSync(file, "utf8")) as { _class_name?: unknown })._class_name;
  } catch {
    return undefined; // whoever reads it as something else says what is wrong with it
  }
}

function weightsFileOf(folder: string): string {
  const names = ["diffusion_pytorch_model.safetensors", "diffusion_pytorch_model.fp16.safetensors"];
  const found = names.map((name) => join(folder, name)).find(existsSync);
  if (found) return found;
  throw new ConfigError(
    `Expected ${names[0]} in ${folder}, found none. Convert .bin weights with diffusers.`,
  );
}

interface ConfigFile {
  readonly block_out_channels?: readonly number[];
  readonly latent_channels?: number;
  readonly layers_per_block?: number;
  readonly norm_num_groups?: number;
  readonly mid_block_add_attention?: boolean;
  readonly use_quant_conv?: boolean;
  readonly use_post_quant_conv?: boolean;
  readonly act_fn?: string;
  readonly in_channels?: number;
  readonly down_block_types?: readonly string[];
  readonly up_block_types?: readonly string[];
}

/** Keys that older files lack have the values that were the only ones then. */
function readConfig(folder: string): AutoencoderKlConfig {
  const path = join(folder, "config.json");
  const file = JSON.parse(readFileSync(path, "utf8")) as ConfigFile;
  const { down_block_types: down = [], up_block_types: up = [] } = file;
  const odd = [...down, ...up].find(
    (name) => !/^(DownEncoderBlock2D|UpDecoderBlock2D)$/.test(name),
  );
  if (odd || (file.act_fn ?? "silu") !== "silu" || (file.in_channels ?? 3) !== 3)
    throw new ConfigError(
      `Expected an AutoencoderKL of plain blocks, SiLU and three colours in ${path}, received ${odd ?? file.act_fn}.`,
    );
  return {
    channels: file.block_out_channels ?? [64],
    latentChannels: file.latent_channels ?? 4,
    layers: file.layers_per_block ?? 1,
    groups: file.norm_num_groups ?? 32,
    hasMidAttention: file.mid_block_add_attention ?? true,
    hasQuantConv: file.use_quant_conv ?? true,
    hasPostQuantConv: file.use_post_quant_conv ?? true,
  };
}

const oldNames = { query: "to_q", key: "to_k", value: "to_v", proj_attn: "to_out.0" } as const;

/** The attention's names before diffusers 0.13, which the first checkpoints have; there its weights may be 1 x 1 convolutions. */
function renamed(tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => {
      const current = name.replace(
        /(attentions\.0\.)(query|key|value|proj_attn)\./,
        (_, at, old: keyof typeof oldNames) => `${at}${oldNames[old]}.`,
      );
      const isConvolution = /attentions\.0\.to_/.test(current) && tensor.ndim === 4;
      return [current, isConvolution ? tensor.flatten(1) : tensor];
    }),
  );
}
