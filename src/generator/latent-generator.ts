// A generator as people use it: a DiT with what its latents are (standardisation, grid, classes, whose tokenizer), its
// model folder, and sampling. Pixels come from the tokenizer: codec/generate.ts. Spec section 6.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { ConfigError } from "../config-error.js";
import { disposeModel, loadStateDict, moveTo, stateDict } from "../nn/parameters.js";
import type { Grid } from "../nn/rope.js";
import { readSafetensors, writeSafetensors } from "../nn/safetensors.js";
import { type DType, full, noGrad, scope, Tensor } from "../torch/index.js";
import { ditName, type GeneratorConfig, requireGrid } from "./config.js";
import { Dit } from "./dit.js";
import { factsFromJson, type GeneratorFacts, generatorFromJson, generatorToJson } from "./facts.js";
import { type Guidance, guide } from "./guidance.js";
import { initializeDit } from "./init.js";
import { runSampler, type SamplerName } from "./sampler.js";
import { samplingLevels } from "./schedule.js";

export interface SampleOptions {
  /** Class of each sample, 0 to classes - 1. */
  readonly labels: readonly number[];
  /** Tokens over (time, row, column); default: those it was trained on. A code without a grid is 1 x 1 x its length. */
  readonly grid?: Grid | undefined;
  readonly sampler?: SamplerName | undefined;
  /** Default: 250, as DiT's. */
  readonly steps?: number | undefined;
  readonly guidance?: Guidance | undefined;
  /** Steps done, of all. */
  readonly onStep?: ((done: number, steps: number) => void) | undefined;
}

export class LatentGenerator {
  readonly dit: Dit;
  readonly #config: GeneratorConfig;
  readonly #facts: GeneratorFacts;

  /** All parameters zero: see create() and load(). @throws ConfigError where facts and config do not fit */
  constructor(config: GeneratorConfig, facts: GeneratorFacts) {
    requireGrid(config, facts.grid);
    this.#config = config;
    this.#facts = facts;
    this.dit = new Dit(config);
  }

  get config(): GeneratorConfig {
    return this.#config;
  }
  get facts(): GeneratorFacts {
    return this.#facts;
  }

  /** A fresh generator, its weights drawn from `seed`. */
  static create(
    config: GeneratorConfig,
    facts: GeneratorFacts,
    { seed = 0, device = "cpu" }: { seed?: number; device?: string } = {},
  ): LatentGenerator {
    const generator = new LatentGenerator(config, facts);
    initializeDit(generator.dit, seed);
    moveTo(generator.dit, { device });
    return generator;
  }

  /** Loads a model folder: config.json and model.safetensors. @throws an Error that names what is missing or does not fit */
  static async load(
    folder: string,
    options: { device?: string; dtype?: DType } = {},
  ): Promise<LatentGenerator> {
    const path = join(folder, "config.json");
    const json = readJson(path);
    const generator = new LatentGenerator(generatorFromJson(json, path), factsFromJson(json, path));
    try {
      scope(() => loadStateDict(generator.dit, readSafetensors(join(folder, "model.safetensors"))));
      moveTo(generator.dit, options);
      return generator;
    } catch (error) {
      generator.dispose();
      throw error;
    }
  }

  /** Writes a model folder, each file whole or not at all; the tokenizer's is the caller's. `extra` are more keys of config.json. */
  save(folder: string, extra: Record<string, unknown> = {}): void {
    writeSafetensors(join(folder, "model.safetensors"), stateDict(this.dit), { format: "pt" });
    const json = { ...generatorToJson(this.config, this.facts), ...extra };
    writeFileAtomic(join(folder, "config.json"), `${JSON.stringify(json, null, 2)}\n`);
  }

  /** Latents of the tokenizer [B, N, c] as the network sees them: mean 0 and deviation 1 in every channel. */
  standardise(latents: Tensor): Tensor {
    const { mean, std } = this.#perChannel(latents.device);
    return latents.sub(mean).div(std);
  }

  /** The inverse of standardise(). */
  restore(standardised: Tensor): Tensor {
    const { mean, std } = this.#perChannel(standardised.device);
    return standardised.mul(std).add(mean);
  }

  #perChannel(device: string): { mean: Tensor; std: Tensor } {
    const { latentMean, latentStd } = this.#facts;
    const row = (values: readonly number[]) => Tensor.from(values, [values.length], { device });
    return { mean: row(latentMean), std: row(latentStd) };
  }

  /**
   * noise [B, N, c], standard normal, float32 -> latents of the tokenizer, float32 [B, N, c]. Equal noise, labels and
   * options give equal latents. @throws RangeError for a class out of range and noise of another shape
   */
  sample(noise: Tensor, options: SampleOptions): Tensor {
    const { labels, grid = this.facts.grid, steps = 250, sampler = "ddim" } = options;
    const { prediction, classes } = this.config;
    this.#requireFits(noise, labels, grid);
    const levels = samplingLevels(prediction, steps);
    const { device } = noise;
    return scope(() =>
      noGrad(() => {
        const classOf = indices(labels, device);
        const nullClass = indices(
          labels.map(() => classes),
          device,
        );
        const { guidance = { scale: 1 }, onStep } = options;
        const predict = guide(
          (x, { timestep }, ys) =>
            this.dit.forward(x, full([x.size(0)], timestep, { device }), ys, { grid }),
          guidance,
          nullClass,
        );
        const x = runSampler((x, level) => predict(x, level, classOf), noise, {
          ...{ prediction, levels, sampler },
          onStep: (done) => onStep?.(done, steps),
        });
        return this.restore(x);
      }),
    );
  }

  #requireFits(noise: Tensor, labels: readonly number[], grid: Grid): void {
    requireGrid(this.config, grid);
    requireLabels(labels, this.config.classes);
    const wanted = [labels.length, grid.t * grid.h * grid.w, this.config.channels];
    if (String(noise.shape) !== String(wanted))
      throw new RangeError(
        `Expected noise [${wanted.join(", ")}] for ${labels.length} samples on a grid of ${grid.t} x ${grid.h} x ${grid.w}, received ${noise}.`,
      );
  }

  dispose(): void {
    disposeModel(this.dit);
    this.dit.clearCache();
  }

  toString(): string {
    return ditName(this.config);
  }
}

/** @throws RangeError for a label that is no class: on a GPU it would end the process */
export function requireLabels(labels: readonly number[], classes: number): void {
  const wrong = labels.find((label) => !(Number.isInteger(label) && label >= 0 && label < classes));
  if (wrong === undefined) return;
  throw new RangeError(
    `Expected a class from 0 to ${classes - 1} for the generator, received ${wrong}.`,
  );
}

/** Whole numbers as the network takes labels: int64 [B]. */
export function indices(values: readonly number[], device: string): Tensor {
  return Tensor.from(BigInt64Array.from(values, BigInt), [values.length], { device });
}

function readJson(path: string): Record<string, unknown> {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
  } catch (cause) {
    throw new ConfigError(
      `Expected a generator's config in ${path}: ${(cause as Error).message}. A model folder holds config.json and model.safetensors.`,
      { cause },
    );
  }
}
