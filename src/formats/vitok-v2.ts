// ViTok-v2, the author's later public model (Na-VAE/vitok-release), as a tokenizer to evaluate and decode with: reads and
// writes its checkpoints under their own names. Layers are vitok-v2-layers.ts, pictures of many sizes patch-batch.ts.
// B batch, N tokens, D width, c latent channels, p patch side. Not trained here.
import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { toPixels } from "../nn/fused/pixels.js";
import { Linear } from "../nn/linear.js";
import { disposeModel, loadStateDict, moveTo, stateDict } from "../nn/parameters.js";
import type { Grid } from "../nn/rope.js";
import { readSafetensors, readSafetensorsHeader, writeSafetensors } from "../nn/safetensors.js";
import { type DType, layerNorm, padConstant, scope, type Tensor } from "../torch/index.js";
import { type ClipSize, type DecodeOptions, sizeOf } from "./baseline-options.js";
import { type PatchBatch, patchesOf, placesOf, tokenGrid, unpatch } from "./patch-batch.js";
import { type BlockSize, ParallelBlock } from "./vitok-v2-layers.js";

interface TowerSize extends BlockSize {
  readonly depth: number;
}

export interface VitokV2Config {
  readonly encoder: TowerSize;
  readonly decoder: TowerSize;
  readonly patchSize: number;
  readonly channels: number;
}

const checkpointName = "model.safetensors";

export class VitokV2 {
  readonly patchEmbed: Linear;
  readonly encoderBlocks: ParallelBlock[];
  readonly toCode: Linear;
  readonly decoderEmbed: Linear;
  readonly decoderBlocks: ParallelBlock[];
  readonly toPixels: Linear;
  readonly #config: VitokV2Config;

  /** All parameters zero: see load(). */
  constructor(config: VitokV2Config) {
    const { encoder, decoder, patchSize, channels } = config;
    const pixels = 3 * patchSize ** 2;
    const blocks = (size: TowerSize) =>
      Array.from({ length: size.depth }, () => new ParallelBlock(size));
    this.#config = config;
    this.patchEmbed = new Linear(pixels, encoder.width);
    this.encoderBlocks = blocks(encoder);
    this.toCode = new Linear(encoder.width, channels);
    this.decoderEmbed = new Linear(channels, decoder.width);
    this.decoderBlocks = blocks(decoder);
    this.toPixels = new Linear(decoder.width, pixels);
  }

  /**
   * Loads a checkpoint, a .safetensors file or a folder with model.safetensors; its sizes follow from its tensors.
   * @throws an Error naming the file, where it is no whole ViTok-v2 checkpoint
   */
  static load(path: string, options: { device?: string; dtype?: DType } = {}): VitokV2 {
    return scope(() => {
      const file = VitokV2.weightsFile(path);
      const tensors = cleaned(readSafetensors(file));
      const model = new VitokV2(configOf(tensors, file));
      loadStateDict(model, tensors);
      moveTo(model, options);
      return model;
    });
  }

  /** The file of its weights. */
  static weightsFile(path: string): string {
    return statSync(path).isDirectory() ? join(path, checkpointName) : path;
  }

  /** Whether a folder or file holds a checkpoint of this kind. */
  static isAt(path: string): boolean {
    if (!existsSync(path)) return false;
    const file = VitokV2.weightsFile(path);
    if (!file.endsWith(".safetensors") || !existsSync(file)) return false;
    const names = [...readSafetensorsHeader(file).entries.keys()].map(plainName);
    return names.includes("encoder_blocks.0.attn.qkv_proj.weight");
  }

  /** Writes a folder that its own code and `load` read. */
  save(folder: string): void {
    writeSafetensors(join(folder, checkpointName), stateDict(this), { format: "pt" });
    const config = { variant: this.name.replace("ViTok-v2 ", ""), block: "parallel" };
    writeFileAtomic(join(folder, "config.json"), `${JSON.stringify(config, null, 2)}\n`);
  }

  get config() {
    const { patchSize, channels } = this.#config;
    return { patchSize, channels, tubeletSize: 1, latentTokens: 0 };
  }

  /** In the words of its variants: `w1024_d4_h16-w1024_d24_h16/1x16x64`. */
  get name(): string {
    const { encoder, decoder, patchSize, channels } = this.#config;
    const tower = ({ width, depth, heads }: TowerSize) => `w${width}_d${depth}_h${heads}`;
    return `ViTok-v2 ${tower(encoder)}-${tower(decoder)}/1x${patchSize}x${channels}`;
  }

  get placement(): { device: string; dtype: DType } {
    const { device, dtype } = this.patchEmbed.weight;
    return { device, dtype };
  }

  /** pixels [B, 3, T, H, W] in [-1, 1] or bytes -> code [B, N, c], its frames one by one; sizes that are no multiples of p are padded with grey. */
  encode(pixels: Tensor): { mean: Tensor; grid: Grid; size: ClipSize } {
    const [batch, , frames, height, width] = pixels.shape as [
      number,
      number,
      number,
      number,
      number,
    ];
    const { patchSize: p } = this.#config;
    const [right, bottom] = [width, height].map((side) => (p - (side % p)) % p) as [number, number];
    const padded = padConstant(toPixels(pixels), [0, right, 0, bottom]);
    const grid = { t: frames, h: (height + bottom) / p, w: (width + right) / p };
    const pictures = padded.transpose(1, 2).flatten(0, 1); // [B T, 3, H, W]
    const code = this.encodePatches(tokenGrid(patchesOf(pictures, p), grid));
    const mean = code.reshape([batch, frames * grid.h * grid.w, code.size(2)]);
    return { mean, grid, size: { frames, height, width } };
  }

  /** code [B, N, c] -> pixels [B, 3, T, H, W], float32, not clamped. */
  decode(latent: Tensor, grid: Grid, options: DecodeOptions = {}): Tensor {
    const size = sizeOf(options);
    const { t, h, w } = grid;
    const code = latent.reshape([-1, h * w, latent.size(2)]);
    const patches = this.decodePatches(tokenGrid(code, grid)).to({ dtype: "float32" });
    const pictures = unpatch(patches, grid, this.#config.patchSize); // [B T, 3, H, W]
    const pixels = pictures.reshape([-1, t, ...pictures.shape.slice(1)]).transpose(1, 2);
    return size ? pixels.narrow(3, 0, size.height).narrow(4, 0, size.width) : pixels;
  }

  /** patches [B, N, 3pp] of pictures of any sizes -> code [B, N, c], each token of unit variance; that of padding means nothing. */
  encodePatches(batch: PatchBatch): Tensor {
    const { encoder, channels } = this.#config;
    const places = placesOf(batch, encoder.width / encoder.heads);
    let x = this.patchEmbed.forward(batch.tokens.to(this.placement)); // [B, N, D]
    for (const block of this.encoderBlocks) x = block.forward(x, places);
    const code = this.toCode.forward(x).to({ dtype: "float32" });
    return layerNorm(code, [channels], undefined, undefined, 1e-6);
  }

  /** code [B, N, c] -> patches [B, N, 3pp] in [-1, 1], not clamped. */
  decodePatches(batch: PatchBatch): Tensor {
    const { decoder } = this.#config;
    const places = placesOf(batch, decoder.width / decoder.heads);
    let x = this.decoderEmbed.forward(batch.tokens.to(this.placement)); // [B, N, D]
    for (const block of this.decoderBlocks) x = block.forward(x, places);
    return this.toPixels.forward(x);
  }

  dispose(): void {
    disposeModel(this);
  }
}

/** Without what compilation and wrappers put into a name. */
const plainName = (name: string): string =>
  name.replaceAll(/(^|\.)(_orig_mod|module|_checkpoint_wrapped_module)\./g, "$1");

function cleaned(tensors: Readonly<Record<string, Tensor>>): Record<string, Tensor> {
  return Object.fromEntries(
    Object.entries(tensors).map(([name, tensor]) => [plainName(name), tensor]),
  );
}

function configOf(tensors: Readonly<Record<string, Tensor>>, file: string): VitokV2Config {
  const shape = (name: string): readonly number[] => {
    const tensor = tensors[name];
    if (tensor) return tensor.shape;
    throw new Error(
      `Expected a whole ViTok-v2 checkpoint, encoder and decoder, in ${file}, received one without ${name}.`,
    );
  };
  const token = Object.keys(tensors).find((name) => /(cls|reg)_token$/.test(name));
  if (token)
    throw new Error(
      `Expected a ViTok-v2 checkpoint without special tokens in ${file}, received ${token}.`,
    );
  const tower = (blocks: string): TowerSize => {
    const [width = 0, hidden = 0] = shape(`${blocks}.0.ffn.fc2.weight`);
    const [headWidth = 1] = shape(`${blocks}.0.attn.norm_q.weight`);
    const depth = Object.keys(tensors).filter(
      (name) => name.startsWith(`${blocks}.`) && name.endsWith(".norm1.weight"),
    ).length;
    return { width, hidden, depth, heads: width / headWidth };
  };
  const patchSize = Math.sqrt(shape("patch_embed.weight")[1]! / 3);
  if (!Number.isInteger(patchSize))
    throw new Error(
      `Expected square patches of one frame in ${file}, received ${shape("patch_embed.weight")[1]} numbers a token.`,
    );
  return {
    encoder: tower("encoder_blocks"),
    decoder: tower("decoder_blocks"),
    patchSize,
    channels: shape("to_code.weight")[0]!,
  };
}
