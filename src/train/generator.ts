// The generator's recipe: a Diffusion Transformer learns to say what noise is in the tokenizer's latents, and its moving
// average is what is sampled and exported (spec section 6). One step is here; the loop is trainer.ts.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { savePipeline } from "../codec/generator-folder.js";
import { LatentLoader } from "../codec/latent-loader.js";
import { LatentSet } from "../codec/latent-set.js";
import { isLatentFolder } from "../codec/latent-source.js";
import type { Source } from "../data/source.js";
import { fileHash } from "../file-hash.js";
import { defineGenerator, ditName, generatorCost } from "../generator/config.js";
import { addNoise, timestepOf } from "../generator/diffusion.js";
import { indices, LatentGenerator } from "../generator/latent-generator.js";
import { mse } from "../losses/pixel.js";
import { Checkpointing } from "../nn/checkpointing.js";
import { emaDecay, updateEma } from "../nn/ema.js";
import { freeze, loadStateDict, parameters, stateDict } from "../nn/parameters.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { autocast, noGrad, scope, stack, type Tensor } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import { evaluateGenerator } from "./evaluate-generator.js";
import { FusedLearner } from "./fused-learner.js";
import type { GeneratorSection } from "./generator-config.js";
import { describeLatents, posteriorOf } from "./generator-data.js";
import { createFusedLearner, planRecording } from "./gpu-step.js";
import { diffusionDraws, posteriorNoise } from "./keyed-noise.js";
import { alone, createLearner, type Learner, type Together } from "./learner.js";
import { findModelFolder } from "./model-start.js";
import {
  type EvaluateRequest,
  type Evaluation,
  NonFiniteError,
  type Recipe,
  type StepResult,
  type TrainBatch,
} from "./recipe.js";
import { RecordedStep, readNumbers, type StepNumbers } from "./recorded-step.js";

export type GeneratorTrainConfig = TrainConfig & { readonly generator: GeneratorSection };

/** Whether a recipe trains a generator. */
export const isGeneratorConfig = (config: TrainConfig): config is GeneratorTrainConfig =>
  config.generator !== undefined;

/** Everything that a step needs of one sample, [B, L, c] and [B]. */
type Sample = {
  readonly noised: Tensor;
  readonly target: Tensor;
  readonly timesteps: Tensor;
  readonly labels: Tensor;
};

export class GeneratorRecipe implements Recipe {
  readonly numbers = {};
  readonly optimizer: Learner;
  readonly flopsPerSample: number;
  readonly notes: readonly string[];
  readonly latent: { readonly tokens: number; readonly latentSize: number };
  readonly #average: LatentGenerator;
  readonly #scratch = mkdtempSync(join(tmpdir(), "vitok-"));
  readonly #recorded: RecordedStep<Sample> | undefined;

  private constructor(
    private readonly config: GeneratorTrainConfig,
    readonly device: string,
    private readonly generator: LatentGenerator,
    private readonly tokenizer: Tokenizer,
    private readonly together: Together,
  ) {
    this.#average = averageOf(generator, device);
    const { train } = config;
    const averages = stateDict(this.#average.dit);
    const learning = parameters(generator.dit);
    const fused = createFusedLearner(learning, { train, device, together, averages });
    this.optimizer = fused ?? createLearner(learning, { ...train, group: together.group });
    const { records, notes } = planRecording(config, device);
    this.notes = notes;
    if (fused && records) this.#recorded = this.#record(fused);
    const tokens = Object.values(generator.facts.grid).reduce((a, b) => a * b);
    this.flopsPerSample = 6 * generatorCost(generator.config, tokens).macs;
    this.latent = { tokens, latentSize: tokens * generator.config.channels };
  }

  /** @throws ConfigError where tokenizer, data and recipe do not fit each other */
  static async create(
    config: GeneratorTrainConfig,
    device: string,
    together: Together = alone,
  ): Promise<GeneratorRecipe> {
    const folder = findModelFolder(config.generator.tokenizer, "generator.tokenizer");
    const tokenizer = await Tokenizer.load(folder, { device });
    freeze(tokenizer);
    try {
      const hash = await fileHash(join(folder, "model.safetensors"));
      const { classes, ...facts } = await describeLatents(config, { tokenizer, hash });
      const { variant, prediction } = config.generator;
      const { channels } = tokenizer.config;
      const options = { seed: config.seed, device };
      const generator = LatentGenerator.create(
        defineGenerator({ variant, prediction, channels, classes }),
        { ...facts, weights: "raw" },
        options,
      );
      return new GeneratorRecipe(config, device, generator, tokenizer, together);
    } catch (error) {
      tokenizer.dispose();
      throw error;
    }
  }

  get variant(): string {
    return ditName(this.generator.config);
  }

  /** The network's parts under their own names, so that a checkpoint reads as the model's folder does. */
  get model() {
    const save = (folder: string, extra?: Record<string, unknown>) =>
      this.generator.save(folder, extra);
    return { ...this.generator.dit, save };
  }

  get states() {
    const { dit } = this.#average;
    const ema = {
      stateDict: () => stateDict(dit),
      loadStateDict: (tensors: Readonly<Record<string, Tensor>>) => loadStateDict(dit, tensors),
    };
    return { optimizer: this.optimizer, ema };
  }

  /** Where the data are a folder of latents; pictures come through the loop's own loader. */
  openLoader(startSample: number): LatentLoader | undefined {
    const { data, train, seed } = this.config;
    if (!isLatentFolder(data.path)) return undefined;
    const { rank, size: worldSize } = this.together;
    const place = { startSample, rank, worldSize };
    const options = { batchSize: train.batchSize, seed, flip: data.flip, ...place };
    return new LatentLoader(new LatentSet(data.path), options);
  }

  step(batch: TrainBatch, step: number): StepResult {
    const { train, generator } = this.config;
    return scope(() => {
      const numbers = readNumbers(this.#gradients(this.#draw(batch)));
      const lr = rateAt(train, step);
      const result = this.#resultOf(numbers, lr);
      const decay = Math.min(generator.emaDecay, emaDecay(step));
      if (this.optimizer instanceof FusedLearner) {
        this.optimizer.setRate(lr, decay);
        this.optimizer.update();
        return result;
      }
      this.optimizer.step(lr);
      const [weights, averages] = [this.generator, this.#average].map(({ dit }) =>
        [...parameters(dit)].map(([, tensor]) => tensor),
      ) as [Tensor[], Tensor[]];
      updateEma(averages, weights, decay);
      return result;
    });
  }

  /** As step(), where steps are recorded. Where a gradient is no number, the GPU leaves the update out. */
  start(batch: TrainBatch, step: number): (() => StepResult) | undefined {
    if (!this.#recorded) return undefined;
    const { train, generator } = this.config;
    const lr = rateAt(train, step);
    const decay = Math.min(generator.emaDecay, emaDecay(step));
    (this.optimizer as FusedLearner).setRate(lr, decay);
    const { read, events } = this.#recorded.start(() => this.#draw(batch));
    return () => ({ ...this.#resultOf(read(), lr), events });
  }

  #record(learner: FusedLearner): RecordedStep<Sample> {
    const work = (sample: Sample) => {
      const numbers = this.#gradients(sample);
      learner.update();
      return numbers;
    };
    return new RecordedStep<Sample>({ device: this.device, work });
  }

  /** The step's gradients, clipped: their norm before, and each micro-batch's share of the loss. */
  #gradients(sample: Sample): Record<string, Tensor> {
    const { accumulate, maxGradNorm } = this.config.train;
    this.optimizer.zeroGrad();
    const losses = split(sample, accumulate).map((part, index, { length }) => {
      if (index === length - 1) this.optimizer.arm();
      return this.#backward(part);
    });
    return { loss: stack(losses), gradNorm: this.optimizer.clip(maxGradNorm) };
  }

  /** @throws NonFiniteError */
  #resultOf({ loss: shares = [], gradNorm: norms = [] }: StepNumbers, lr: number): StepResult {
    const sum = shares.reduce((total, share) => total + share, 0);
    const { loss } = this.together.average({ loss: sum });
    const [gradNorm = Number.NaN] = norms;
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm))
      throw new NonFiniteError(
        `Expected a finite loss and gradient, received loss ${loss} and gradient norm ${gradNorm}.`,
      );
    return { loss, terms: { mse: loss }, gradNorm, lr };
  }

  /** Latents of a batch with noise in them; every choice is keyed by the sample's index. */
  #draw(batch: TrainBatch): Sample {
    const { seed, generator } = this.config;
    const { prediction, classes } = this.generator.config;
    return noGrad(() => {
      const posterior = posteriorOf(this.tokenizer, batch);
      const shape = posterior.mean.shape.slice(1);
      const { device } = this;
      const own = posteriorNoise(seed, batch.indices, shape, device);
      const latents = this.generator.standardise(posterior.sample(own));
      const { noise, times, drops } = diffusionDraws(seed, batch.indices, { shape, device });
      const timesteps = times.map((time) => timestepOf(prediction, time));
      const labels = batch.labels.map((label, i) =>
        drops[i]! < generator.labelDropout ? classes : label,
      );
      return {
        ...addNoise(prediction, latents, { noise, timesteps }),
        labels: indices(labels, device),
      };
    });
  }

  /** Adds a micro-batch's share to the gradients; its share of the loss. */
  #backward({ share, ...sample }: Sample & { share: number }): Tensor {
    const { precision, checkpointing: isSaving } = this.config.train;
    const autocasting = <T>(fn: () => T) => autocast({ device: this.device, dtype: precision }, fn);
    return scope(() => {
      const checkpointing = isSaving ? new Checkpointing(autocasting) : undefined;
      const { grid } = this.generator.facts;
      const { noised, timesteps, labels, target } = sample;
      const predicted = autocasting(() =>
        this.generator.dit.forward(noised, timesteps, labels, { grid, checkpointing }),
      );
      const loss = mse(predicted, target).mul(share);
      if (checkpointing) checkpointing.backward(loss);
      else loss.backward();
      return loss.detach();
    });
  }

  /** Rank 0's work: the others wait for it at their next collective. */
  async evaluate(source: Source, request: EvaluateRequest): Promise<Evaluation | undefined> {
    if (this.optimizer instanceof FusedLearner) this.optimizer.join();
    if (request.share && request.share.part.index > 0) return undefined;
    const pipeline = { generator: this.#average, tokenizer: this.tokenizer };
    const own = { config: this.config, realStats: join(this.#scratch, "real.npz") };
    return evaluateGenerator(pipeline, source, { ...request, ...own });
  }

  save(folder: string, provenance: Readonly<Record<string, unknown>>): void {
    savePipeline(folder, this.#average, {
      tokenizer: findModelFolder(this.config.generator.tokenizer),
      extra: { provenance },
    });
  }

  dispose(): void {
    rmSync(this.#scratch, { recursive: true, force: true });
    this.#recorded?.dispose();
    this.optimizer.zeroGrad();
    this.optimizer.dispose();
    this.generator.dispose();
    this.#average.dispose();
    this.tokenizer.dispose();
  }
}

/** A generator whose weights follow another's; it starts from them. */
function averageOf(source: LatentGenerator, device: string): LatentGenerator {
  const facts = { ...source.facts, weights: "ema" as const };
  const average = LatentGenerator.create(source.config, facts, { device });
  loadStateDict(average.dit, stateDict(source.dit));
  freeze(average.dit);
  return average;
}

/** In `parts` along the batch, with the share of the loss's mean that each is. */
function split(sample: Sample, parts: number): (Sample & { share: number })[] {
  const count = sample.labels.size(0);
  const size = Math.ceil(count / parts);
  return Array.from({ length: Math.ceil(count / size) }, (_, part) => {
    const length = Math.min(size, count - part * size);
    const cut = (x: Tensor) => x.narrow(0, part * size, length);
    const { noised, target, timesteps, labels } = sample;
    return {
      ...{ noised: cut(noised), target: cut(target) },
      ...{ timesteps: cut(timesteps), labels: cut(labels), share: length / count },
    };
  });
}

/** Constant, after a linear warm-up where there is one. */
function rateAt({ peakLr, warmupSteps }: TrainConfig["train"], step: number): number {
  return peakLr * Math.min(1, (step + 1) / Math.max(1, warmupSteps));
}
