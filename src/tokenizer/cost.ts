// What a config costs before anything is built: parameters, multiply-adds, tokens, compression.
// Formulas only, no engine; a test of the model counts the real parameters against these.
// Paper: the "GFLOPs" of tables 1 and 2 are multiply-adds of one forward pass, counted as here.

import { mlpHidden, type Tower } from "../tower.js";
import { gridOf, type TokenizerConfig } from "./config.js";

/** A clip's lengths: frames, and pixels. */
export interface InputSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

/** Parameters of one tower with its ends, by part. */
export interface TowerParameters {
  /** The tubelet convolution: into the encoder, out of the decoder. */
  readonly pixels: number;
  readonly attention: number;
  readonly mlp: number;
  readonly norms: number;
  /** The bottleneck's linear map, with the learned tokens of the latent and masked variants. */
  readonly latent: number;
}

export interface Cost {
  /** Parameters of the whole model, by tower and by part. */
  readonly params: {
    readonly encoder: number;
    readonly decoder: number;
    readonly total: number;
    readonly parts: { readonly encoder: TowerParameters; readonly decoder: TowerParameters };
  };
  /** Multiply-adds of one forward pass of one sample. */
  readonly macs: { readonly encoder: number; readonly decoder: number; readonly total: number };
  /** Patch tokens of the input: (T/q)(H/p)(W/p). */
  readonly tokens: number;
  /** E: numbers in the code of one sample. */
  readonly latentSize: number;
  /** 3THW / E. */
  readonly compressionRatio: number;
}

/**
 * The cost of one sample of the given size.
 * @throws ConfigError when the size does not divide into tubelets
 */
export function costOf(config: TokenizerConfig, size: InputSize): Cost {
  const grid = gridOf(config, size);
  const tokens = grid.t * grid.h * grid.w;
  const parts = { encoder: encoderParameters(config), decoder: decoderParameters(config) };
  const params = { encoder: sum(parts.encoder), decoder: sum(parts.decoder) };
  const macs = {
    encoder: towerMacs(config.encoder, config, tokens),
    decoder: towerMacs(config.decoder, config, tokens),
  };
  const latentSize = (config.latentTokens || tokens) * config.channels;
  return {
    params: { ...params, total: params.encoder + params.decoder, parts },
    macs: { ...macs, total: macs.encoder + macs.decoder },
    tokens,
    latentSize,
    compressionRatio: (3 * size.frames * size.height * size.width) / latentSize,
  };
}

/** The size a variant is usually quoted at: 256 pixels, 16 frames where q > 1, in whole tubelets. */
export function usualSize({
  patchSize: p,
  tubeletSize: q,
}: Pick<TokenizerConfig, "patchSize" | "tubeletSize">): InputSize {
  const whole = (length: number, unit: number) => unit * Math.max(1, Math.floor(length / unit));
  const side = whole(256, p);
  return { frames: q > 1 ? whole(16, q) : 1, height: side, width: side };
}

function tubeletValues({ tubeletSize, patchSize }: TokenizerConfig): number {
  return 3 * tubeletSize * patchSize ** 2;
}

function encoderParameters(config: TokenizerConfig): TowerParameters {
  const { width } = config.encoder;
  return {
    pixels: tubeletValues(config) * width + width,
    ...blockParameters(config.encoder),
    latent: (width + 1) * 2 * config.channels + config.latentTokens * width,
  };
}

function decoderParameters(config: TokenizerConfig): TowerParameters {
  const { width } = config.decoder;
  const latentTokens = config.latentTokens > 0 ? (config.latentTokens + 1) * width : 0;
  const maskToken = config.maskable ? config.channels : 0;
  return {
    pixels: tubeletValues(config) * width + 3,
    ...blockParameters(config.decoder),
    latent: (config.channels + 1) * width + latentTokens + maskToken,
  };
}

function blockParameters({ width: d, depth: n }: Tower) {
  const h = mlpHidden(d);
  return {
    attention: n * (4 * d * d + 4 * d),
    mlp: n * (3 * d * h + 2 * h + d),
    norms: (2 * n + 1) * 2 * d,
  };
}

/** n ((4 d^2 + 3 d h) N + 2 N^2 d), the tubelet projection, and 5 per element of each LayerNorm. */
function towerMacs(tower: Tower, config: TokenizerConfig, tokens: number): number {
  const { width: d, depth: n } = tower;
  const length = tokens + config.latentTokens;
  const blocks = n * ((4 * d * d + 3 * d * mlpHidden(d)) * length + 2 * length ** 2 * d);
  const projection = tokens * tubeletValues(config) * d;
  return blocks + projection + 5 * (2 * n + 1) * length * d;
}

function sum(parts: TowerParameters): number {
  return Object.values(parts).reduce((total, part) => total + part, 0);
}
