// What `vitok bench` and bench/anchor.ts time: encode, decode, round trip and a train step, on noise of the right shape.
// A step is forward, backward and AdamW on mse + 1e-3 KL, under autocast where the precision is bfloat16.

import { mse } from "../losses/pixel.js";
import { weightedSum } from "../losses/weighted-sum.js";
import { AdamW } from "../nn/adamw.js";
import { parameters } from "../nn/parameters.js";
import { gridOf, type TokenizerConfig } from "../tokenizer/config.js";
import { costOf, type InputSize } from "../tokenizer/cost.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { autocast, noGrad, randn, scope, synchronize } from "../torch/index.js";

export const caseNames = ["encode", "decode", "roundtrip", "train"] as const;
export type CaseName = (typeof caseNames)[number];

export interface CaseOptions {
  readonly input: InputSize;
  readonly batch: number;
  readonly device: string;
  readonly precision: "float32" | "bfloat16";
}

export interface BenchCase {
  /** Floating-point operations of one run: two a multiply-add, a train step three forward passes. */
  readonly flops: number;
  run(): void;
  dispose(): void;
}

/** Makes a model and the inputs of one case; nothing has run yet. */
export function createCase(
  name: CaseName,
  config: TokenizerConfig,
  options: CaseOptions,
): BenchCase {
  const { macs } = costOf(config, options.input);
  const part = { encode: macs.encoder, decode: macs.decoder }[name as string] ?? macs.total;
  const flops = 2 * part * options.batch * (name === "train" ? 3 : 1);
  const made = name === "train" ? trainStep(config, options) : inference(name, config, options);
  return { flops, ...made };
}

function inference(
  name: Exclude<CaseName, "train">,
  config: TokenizerConfig,
  { input, batch, device, precision }: CaseOptions,
) {
  const tokenizer = Tokenizer.create(config, { device, dtype: precision });
  const grid = gridOf(config, input);
  const { pixels, latent } = scope(() => {
    const length = config.latentTokens || grid.t * grid.h * grid.w;
    const noise = (shape: number[]) => randn(shape, { device }).to({ dtype: precision });
    return {
      pixels: noise(shapeOf(batch, input)),
      latent: noise([batch, length, config.channels]),
    };
  });
  const work = {
    encode: () => void tokenizer.encode(pixels),
    decode: () => void tokenizer.decode(latent, grid),
    roundtrip: () => void tokenizer.decode(tokenizer.encode(pixels).mode(), grid),
  }[name];
  return {
    run: () => noGrad(() => scope(work)),
    dispose() {
      for (const owner of [tokenizer, pixels, latent]) owner.dispose();
    },
  };
}

function trainStep(config: TokenizerConfig, { input, batch, device, precision }: CaseOptions) {
  const tokenizer = Tokenizer.create(config, { device });
  const optimizer = new AdamW(parameters(tokenizer));
  const pixels = randn(shapeOf(batch, input), { device });
  const lossOf = () => {
    const posterior = tokenizer.encode(pixels);
    const noise = randn(posterior.mean.shape, { device });
    const recon = tokenizer.decode(posterior.sample(noise), posterior.grid);
    const terms = { mse: mse(recon, pixels), kl: posterior.kl() };
    return weightedSum(terms, { mse: 1, kl: 1e-3 }).loss;
  };
  return {
    run: () =>
      scope(() => {
        optimizer.zeroGrad();
        autocast({ device, dtype: precision }, lossOf).backward();
        optimizer.step(1e-4);
      }),
    dispose() {
      optimizer.zeroGrad();
      for (const owner of [optimizer, tokenizer, pixels]) owner.dispose();
    },
  };
}

function shapeOf(batch: number, { frames, height, width }: InputSize): number[] {
  return [batch, 3, frames, height, width];
}

/** Milliseconds of each of `steps` runs, after `warmup` others. */
export function timeRuns(
  run: () => void,
  { device, steps, warmup }: { device: string; steps: number; warmup: number },
): number[] {
  for (let i = 0; i < warmup; i++) run();
  return Array.from({ length: steps }, () => {
    synchronize(device);
    const startedMs = performance.now();
    run();
    synchronize(device);
    return performance.now() - startedMs;
  });
}

/** The middle value; of an even number of them the upper one, as the anchor has it. */
export function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
