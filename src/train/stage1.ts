// Stage 1: everything learns, on MSE + 1e-3 KL + LPIPS (spec sections 2 and 3). One step is here; the loop is trainer.ts.
import { type Batch, pixelsOf } from "../data/batch.js";
import type { Source } from "../data/source.js";
import { perceptual } from "../losses/perceptual.js";
import { weightedSum } from "../losses/weighted-sum.js";
import { Checkpointing } from "../nn/checkpointing.js";
import { parameters } from "../nn/parameters.js";
import { cosineSchedule } from "../nn/schedule.js";
import { Lpips } from "../perceptual/lpips.js";
import { variantName } from "../tokenizer/config.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { autocast, type DType, scope, type Tensor } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import { evaluateTokenizer } from "./evaluate-tokenizer.js";
import { alone, createLearner, type Learner, type Together } from "./learner.js";
import { averageOf, splitBatch } from "./micro-batches.js";
import { trainingFlops } from "./pace.js";
import {
  type EvaluateRequest,
  type Evaluation,
  NonFiniteError,
  type Recipe,
  type StepResult,
} from "./recipe.js";
import { startTokenizer } from "./start-tokenizer.js";
import { lossSquares, passThrough, reconTerms, termWeights } from "./tokenizer-pass.js";

export class Stage1 implements Recipe {
  readonly tokenizer: Tokenizer;
  readonly optimizer: Learner;
  readonly numbers = {};
  readonly flopsPerSample: number;
  readonly notes: readonly string[];
  readonly #lpips: Lpips | undefined;
  readonly #dtype: DType;

  constructor(
    private readonly config: TrainConfig,
    readonly device: string,
    private readonly together: Together = alone,
  ) {
    const { losses, train } = config;
    this.flopsPerSample = trainingFlops(config); // first: a size that does not fit fails before anything is made
    this.#dtype = train.precision;
    // Before the model, because it may be missing.
    if (losses.lpips > 0)
      this.#lpips = Lpips.load({ trunk: losses.lpipsTrunk, device, dtype: this.#dtype });
    const { tokenizer, notes } = startTokenizer(config, device, { isExact: false });
    this.tokenizer = tokenizer;
    this.notes = notes;
    const { group } = together;
    this.optimizer = createLearner(parameters(this.tokenizer), { ...train, group });
  }

  get variant(): string {
    return variantName(this.config.model);
  }

  get model(): Tokenizer {
    return this.tokenizer;
  }

  get states() {
    return { optimizer: this.optimizer };
  }

  step(batch: Batch, step: number): StepResult {
    return scope(() => {
      this.optimizer.zeroGrad();
      const terms = splitBatch(batch, this.config.train.accumulate).map(
        (part, index, { length }) => {
          if (index === length - 1) this.optimizer.arm();
          return this.#backward(part);
        },
      );
      const gradNorm = this.optimizer.clip(this.config.train.maxGradNorm).item();
      const { loss = Number.NaN, ...means } = this.together.average(averageOf(terms));
      if (!Number.isFinite(loss) || !Number.isFinite(gradNorm))
        throw new NonFiniteError(
          `Expected a finite loss and gradient, received loss ${loss} and gradient norm ${gradNorm} (${JSON.stringify(means)}).`,
        );
      const lr = cosineSchedule(this.config.train, step);
      this.optimizer.step(lr);
      return { loss, terms: means, gradNorm, lr };
    });
  }

  /** Adds a micro-batch's share to the gradients; its terms, unweighted, and their weighted sum `loss`. */
  #backward(batch: Batch): Record<string, number> {
    return scope(() => {
      const pixels = pixelsOf(batch, { device: this.device });
      const autocasting = <T>(fn: () => T) =>
        autocast({ device: this.device, dtype: this.#dtype }, fn);
      const checkpointing = this.config.train.checkpointing
        ? new Checkpointing(autocasting)
        : undefined;
      const { loss, logged } = autocasting(() => this.#loss(pixels, batch.indices, checkpointing));
      const share = loss.div(this.config.train.accumulate);
      if (checkpointing) checkpointing.backward(share);
      else share.backward();
      return Object.fromEntries(Object.entries(logged).map(([name, term]) => [name, term.item()]));
    });
  }

  #loss(pixels: Tensor, indices: readonly number[], checkpointing: Checkpointing | undefined) {
    const { config, tokenizer } = this;
    const { posterior, recon } = passThrough(tokenizer, { pixels, indices, config, checkpointing });
    const squares = lossSquares(recon, pixels, { config, indices });
    const terms = { ...reconTerms(recon, pixels, config), kl: posterior.kl() };
    const lpips = this.#lpips && { lpips: perceptual(this.#lpips, ...squares) };
    return weightedSum({ ...terms, ...lpips }, termWeights(config));
  }

  evaluate(source: Source, request: EvaluateRequest): Promise<Evaluation | undefined> {
    return evaluateTokenizer(this.tokenizer, source, { ...request, config: this.config });
  }

  save(folder: string, provenance: Readonly<Record<string, unknown>>): void {
    this.tokenizer.save(folder, { provenance });
  }

  dispose(): void {
    this.optimizer.zeroGrad();
    this.optimizer.dispose();
    this.tokenizer.dispose();
    this.#lpips?.dispose();
  }
}
