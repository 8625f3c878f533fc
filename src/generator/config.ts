// What a Diffusion Transformer is made of, its names ("DiT-L", "DiT-Sw96d4h4"), its form on disk and what it costs.
// Pure TypeScript: no engine is loaded, so `vitok info DiT-L` starts at once. Spec section 6.
import { ConfigError } from "../config-error.js";
import {
  defineTower,
  expected,
  mlpHidden,
  parseTower,
  ropePairs,
  type Tower,
  towerName,
  whole,
} from "../tower.js";

/** What the network is trained to say: the noise, v = signal noise - sigma x, or the flow's velocity noise - x. */
export const predictions = ["noise", "velocity", "flow"] as const;
export type Prediction = (typeof predictions)[number];

export interface GeneratorConfig extends Tower {
  /** c: channels of the latent tokens it makes. */
  readonly channels: number;
  /** Labels are 0 to classes - 1; the label `classes` is the null class that guidance needs. */
  readonly classes: number;
  readonly prediction: Prediction;
}

/** As in DiT, but L and XL keep their widths and the blocks are the tokenizer's. */
export const ditSizes = {
  S: { width: 384, depth: 12, heads: 6 },
  B: { width: 768, depth: 12, heads: 12 },
  L: { width: 1024, depth: 24, heads: 16 },
  XL: { width: 1152, depth: 28, heads: 16 },
} as const satisfies Record<string, Tower>;

/** Sinusoids of the timestep embedding. */
export const timeFeatures = 256;

/** Whether a name is meant as a generator's. */
export const isDitName = (name: string): boolean => name.startsWith("DiT-");

/** The transformer a name stands for: `DiT-` and a size, perhaps with its width, depth or heads replaced. @throws ConfigError */
export function parseDitName(name: string): Tower {
  const tower = isDitName(name) ? parseTower(name.slice(4), ditSizes) : undefined;
  if (tower) return tower;
  throw new ConfigError(
    `Expected DiT-<size> for the generator's variant, received "${name}". ` +
      `Sizes are ${Object.keys(ditSizes).join(", ")}; write for example DiT-L or DiT-Sw96d4h4.`,
  );
}

export const ditName = (tower: Tower): string => `DiT-${towerName(tower, ditSizes)}`;

/** A generator as people write it: a variant, or width, depth and heads. */
export type PartialGeneratorConfig = { readonly [K in keyof GeneratorConfig]?: unknown } & {
  readonly variant?: unknown;
};

/**
 * The whole, checked, frozen config: the variant's values, then what is written out.
 * @throws ConfigError naming the first property that no model can have
 */
export function defineGenerator({ variant, ...written }: PartialGeneratorConfig): GeneratorConfig {
  const given = Object.entries(written).filter(([, value]) => value !== undefined);
  const base = variant === undefined ? {} : parseDitName(String(variant));
  const all = { prediction: "noise", ...base, ...Object.fromEntries(given) } as GeneratorConfig;
  const { channels, classes, prediction } = all;
  whole("channels", channels);
  whole("classes", classes);
  if (!predictions.includes(prediction))
    throw expected(predictions.join(", ").replace(/, (\w+)$/, " or $1"), "prediction", prediction);
  return Object.freeze({ ...defineTower("the generator", all), channels, classes, prediction });
}

/** @throws ConfigError where several frames of latents meet a head without a rotary pair for time */
export function requireGrid(
  { width, heads }: Tower,
  grid: { readonly t: number; readonly h: number; readonly w: number },
): void {
  for (const axis of ["t", "h", "w"] as const) whole(`grid.${axis}`, grid[axis]);
  if (grid.t === 1 || ropePairs(width / heads).time > 0) return;
  throw new ConfigError(
    `Expected a head with a rotary pair for time for a generator of video, received a width of ` +
      `${width / heads} per head. Use a head width of 6, or of 10 and more.`,
  );
}

export interface GeneratorCost {
  readonly params: {
    readonly blocks: number;
    readonly conditioning: number;
    readonly ends: number;
    readonly total: number;
  };
  /** Multiply-adds of one forward pass of one sample. */
  readonly macs: number;
}

/** The parameters, and the cost of one pass over `tokens` latent tokens, counted as the tokenizer's cost.ts does. */
export function generatorCost(config: GeneratorConfig, tokens: number): GeneratorCost {
  const { width: d, depth: n, channels, classes } = config;
  const h = mlpHidden(d);
  const modulation = 6 * (d * d + d);
  const blocks = n * (4 * d * d + 4 * d + (3 * d * h + 2 * h + d) + modulation);
  const conditioning = (timeFeatures + 1) * d + (d + 1) * d + (classes + 1) * d;
  const ends = (channels + 1) * d + (d + 1) * channels + 2 * (d * d + d);
  const perToken = n * (4 * d * d + 3 * d * h) + 2 * channels * d + 5 * (2 * n + 1) * d;
  const perSample = n * 6 * d * d + 2 * d * d + (timeFeatures + d) * d;
  return {
    params: { blocks, conditioning, ends, total: blocks + conditioning + ends },
    macs: tokens * perToken + n * 2 * tokens ** 2 * d + perSample,
  };
}
