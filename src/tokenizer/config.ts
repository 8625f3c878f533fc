// What an auto-encoder is made of, its name's grammar ("S-B/4x8") and its form on disk.
// Pure TypeScript: no engine is loaded, so `vitok info` starts at once.
// Paper: section 2 and table 1; sizes, grammar and limits as decided in docs/architecture.md.

import { ConfigError } from "../config-error.js";
import {
  defineTower,
  expected,
  parseTower,
  ropePairs,
  type Tower,
  towerName,
  whole,
} from "../tower.js";

export interface TokenizerConfig {
  readonly encoder: Tower;
  readonly decoder: Tower;
  /** p: side of a patch, pixels. */
  readonly patchSize: number;
  /** q: frames in a tubelet; 1 for images. */
  readonly tubeletSize: number;
  /** c: latent channels per token. */
  readonly channels: number;
  /** Above 0: Latent ViTok, a code of that many tokens whatever the input's size. */
  readonly latentTokens: number;
  /** Masked ViTok: the decoder has a mask token and reads any prefix of the code. */
  readonly maskable: boolean;
}

/** The named towers. S is the first choice of `towerName` between equally good names. */
export const sizes = {
  S: { width: 768, depth: 6, heads: 12 },
  B: { width: 768, depth: 12, heads: 12 },
  L: { width: 1152, depth: 24, heads: 16 },
  Ti: { width: 192, depth: 4, heads: 3 },
} as const satisfies Record<string, Tower>;

/** What a variant's name does not say. */
export interface VariantOptions {
  readonly latentTokens?: number;
  readonly maskable?: boolean;
}

const variantPattern = /^([^-/]+)-([^-/]+)\/([1-9]\d*(?:x[1-9]\d*){0,2})$/;

/**
 * The config a name stands for: `<encoder>-<decoder>/` and then p, q x p, or q x p x c.
 * A tower is a size, perhaps with its width, depth or heads replaced: `Bw512d8h8`.
 * @throws ConfigError when the name does not follow the grammar or names an impossible model
 */
export function parseVariant(name: string, options: VariantOptions = {}): TokenizerConfig {
  const [, encoder, decoder, numbers] = variantPattern.exec(name) ?? [];
  if (!encoder || !decoder || !numbers) throw new ConfigError(grammarMessage(name));
  const lengths = numbers.split("x").map(Number);
  if (lengths.length === 1) lengths.unshift(1);
  const [tubeletSize = 1, patchSize = 16, channels = 16] = lengths;
  const { latentTokens = 0, maskable = false } = options;
  const tower = (text: string): Tower => {
    const parsed = parseTower(text, sizes);
    if (!parsed) throw new ConfigError(grammarMessage(name, text));
    return parsed;
  };
  return defineConfig({
    encoder: tower(encoder),
    decoder: tower(decoder),
    patchSize,
    tubeletSize,
    channels,
    latentTokens,
    maskable,
  });
}

/** The shortest name of a config: `parseVariant` of it gives the config back, latent and mask options aside. */
export function variantName(config: TokenizerConfig): string {
  const { patchSize: p, tubeletSize: q, channels: c } = config;
  const lengths = c !== 16 ? `${q}x${p}x${c}` : q !== 1 ? `${q}x${p}` : `${p}`;
  return `${towerName(config.encoder, sizes)}-${towerName(config.decoder, sizes)}/${lengths}`;
}

function grammarMessage(variant: string, part?: string): string {
  const where = part === undefined ? "" : ` ("${part}" is no tower)`;
  return (
    `Expected <encoder>-<decoder>/<q>x<p> for the variant, received "${variant}"${where}. ` +
    `Sizes are Ti, S, B and L; write for example S-B/16, S-B/4x8, S-B/1x16x64 or Sd4-Bw512d8h8/16.`
  );
}

/**
 * A checked, frozen copy.
 * @throws ConfigError naming the first property that no model can have
 */
export function defineConfig(config: TokenizerConfig): TokenizerConfig {
  const { encoder, decoder, patchSize, tubeletSize, channels, latentTokens, maskable } = config;
  whole("patchSize", patchSize);
  whole("tubeletSize", tubeletSize);
  whole("channels", channels);
  whole("latentTokens", latentTokens, 0);
  if (typeof maskable !== "boolean") throw expected("true or false", "maskable", maskable);
  return Object.freeze({
    encoder: defineTower("encoder", encoder),
    decoder: defineTower("decoder", decoder),
    patchSize,
    tubeletSize,
    channels,
    latentTokens,
    maskable,
  });
}

/**
 * The token grid of an input that the model can take: lengths in frames and pixels, multiples of q and p.
 * @throws ConfigError when a length is no multiple, or several grid frames meet a head without a time pair
 */
export function gridOf(
  config: TokenizerConfig,
  size: { frames: number; height: number; width: number },
): { t: number; h: number; w: number } {
  const { patchSize: p, tubeletSize: q } = config;
  const grid = { t: size.frames / q, h: size.height / p, w: size.width / p };
  if (!Object.values(grid).every((n) => Number.isInteger(n) && n > 0)) {
    throw new ConfigError(
      `Expected frames in multiples of ${q} and sides in multiples of ${p} for the input, received ` +
        `${size.frames} x ${size.height} x ${size.width}. Crop or pad it first.`,
    );
  }
  for (const [name, tower] of Object.entries({
    encoder: config.encoder,
    decoder: config.decoder,
  })) {
    const headDim = tower.width / tower.heads;
    if (grid.t > 1 && ropePairs(headDim).time < 1) {
      throw new ConfigError(
        `Expected a head with a rotary pair for time for the ${name} of a video model, received a ` +
          `width of ${headDim} per head. Use a head width of 6, or of 10 and more.`,
      );
    }
  }
  return grid;
}

/** The form of `config.json` in a model folder: the same properties in snake_case. */
export function toJson(config: TokenizerConfig): Record<string, unknown> {
  return {
    encoder: { ...config.encoder },
    decoder: { ...config.decoder },
    patch_size: config.patchSize,
    tubelet_size: config.tubeletSize,
    channels: config.channels,
    latent_tokens: config.latentTokens,
    maskable: config.maskable,
  };
}

/**
 * The inverse of `toJson`. A `variant` may stand for the properties that its name says.
 * Other keys are another reader's business (latent statistics, provenance) and are left alone.
 * @throws ConfigError
 */
export function fromJson(json: unknown): TokenizerConfig {
  if (typeof json !== "object" || json === null) {
    throw expected("an object", "the model config", json);
  }
  const file = json as Record<string, never>;
  if (file.kind === "generator")
    throw new ConfigError(
      `Expected a tokenizer's config, received that of a generator, ${file.variant}. Its tokenizer lies in tokenizer/ beside it.`,
    );
  return completeConfig({
    variant: file.variant,
    encoder: file.encoder,
    decoder: file.decoder,
    patchSize: file.patch_size,
    tubeletSize: file.tubelet_size,
    channels: file.channels,
    latentTokens: file.latent_tokens,
    maskable: file.maskable,
  });
}

/** A config as people write it: a variant, or both towers; then whatever differs. */
export type PartialConfig = {
  readonly [K in keyof TokenizerConfig | "variant"]?:
    | (K extends keyof TokenizerConfig ? TokenizerConfig[K] : string)
    | undefined;
};

/** The whole config of a partial one: the variant's values, then the defaults; what is written out wins. */
export function completeConfig({ variant, ...written }: PartialConfig): TokenizerConfig {
  const base = variant === undefined ? unnamed : parseVariant(variant);
  const given = Object.entries(written).filter(([, value]) => value !== undefined);
  const config = { ...base, ...Object.fromEntries(given) };
  if (!("encoder" in config && "decoder" in config && "patchSize" in config)) {
    throw new ConfigError(
      `Expected a variant, or an encoder, a decoder and a patch size, for the model, received ` +
        `${given.map(([key]) => key).join(", ") || "neither"}. Write for example variant: S-B/16.`,
    );
  }
  return defineConfig(config as TokenizerConfig);
}

const unnamed = { tubeletSize: 1, channels: 16, latentTokens: 0, maskable: false };
