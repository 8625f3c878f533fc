// Stage 2: from a stage-1 model the decoder learns on with a GAN loss; the encoder is frozen (train.freeze says so). An average of
// the weights is what is evaluated and exported. Spec sections 2 and 3. The discriminator's half is gan-side.ts, the loop trainer.ts.
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
import { autocast, grad, scope, type Tensor } from "../torch/index.js";
import { AverageTokenizer } from "./average-tokenizer.js";
import type { TrainConfig } from "./config.js";
import { evaluateTokenizer } from "./evaluate-tokenizer.js";
import { adversarialWeight } from "./gan-config.js";
import { GanGuard, initialGuard } from "./gan-guard.js";
import { followLogits, GanSide, type Judged } from "./gan-side.js";
import { alone, createLearner, type Learner, type Together } from "./learner.js";
import { averageOf, splitBatch } from "./micro-batches.js";
import { trainingFlops } from "./pace.js";
import {
  type EvaluateRequest,
  type Evaluation,
  NonFiniteError,
  type Recipe,
  type RecipeState,
  type RunEvent,
  type StepResult,
} from "./recipe.js";
import { startTokenizer } from "./start-tokenizer.js";
import {
  drawPass,
  lossSquares,
  passThrough,
  reconTerms,
  sizeOf,
  termWeights,
} from "./tokenizer-pass.js";

export class Stage2 implements Recipe {
  readonly tokenizer: Tokenizer;
  readonly average: AverageTokenizer;
  readonly optimizer: Learner;
  readonly notes: readonly string[];
  readonly numbers = { ...initialGuard, leCamReal: 0, leCamFake: 0 };
  readonly flopsPerSample: number;
  readonly guard: GanGuard | undefined;
  /** Undefined where losses.adversarial is 0: the ablation without a GAN. */
  readonly gan: GanSide | undefined;
  readonly #lpips: Lpips | undefined;
  readonly #isEncoderFrozen: boolean;

  constructor(
    private readonly config: TrainConfig,
    readonly device: string,
    private readonly together: Together = alone,
  ) {
    const { gan, losses, train } = config;
    this.flopsPerSample = trainingFlops(config);
    if (losses.lpips > 0)
      this.#lpips = Lpips.load({ trunk: losses.lpipsTrunk, device, dtype: train.precision });
    const { tokenizer, notes } = startTokenizer(config, device, { isExact: true });
    this.tokenizer = tokenizer;
    this.notes = notes;
    this.optimizer = createLearner(parameters(tokenizer), { ...train, group: together.group });
    this.average = new AverageTokenizer(tokenizer);
    this.#isEncoderFrozen = [...parameters(tokenizer.encoder)].every(
      ([, tensor]) => !tensor.requiresGrad,
    );
    if (!gan) return;
    this.gan = new GanSide(config, gan, { device, group: together.group });
    this.guard = new GanGuard(gan, train.steps, this.numbers);
  }

  get variant(): string {
    return variantName(this.config.model);
  }

  get model(): Tokenizer {
    return this.tokenizer;
  }

  get states(): Record<string, RecipeState> {
    const own = { optimizer: this.optimizer, ema: this.average };
    if (!this.gan) return own;
    const { discriminator, optimizer } = this.gan;
    return { ...own, discriminator: discriminator.state, discriminator_optimizer: optimizer };
  }

  get isGood(): boolean {
    return this.guard?.isGood ?? true;
  }

  step(batch: Batch, step: number): StepResult {
    const { gan, losses, train } = this.config;
    const { adversarialScale } = this.numbers;
    const weight = gan ? adversarialWeight(gan, losses.adversarial, step) * adversarialScale : 0;
    return scope(() => {
      this.optimizer.zeroGrad();
      this.gan?.optimizer.zeroGrad();
      const parts = splitBatch(batch, train.accumulate).map((part, index, { length }) => {
        if (index === length - 1) for (const side of [this, this.gan]) side?.optimizer.arm();
        return this.#backward(part, { step, weight });
      });
      const gradNorm = this.optimizer.clip(train.maxGradNorm).item();
      const mean = (records: Record<string, number>[]) => this.together.average(averageOf(records));
      const { loss = Number.NaN, ...terms } = mean(parts.map((part) => part.terms));
      const gauges = mean(parts.map((part) => part.gauges));
      const clipped = this.gan ? { discriminatorGradNorm: this.gan.clip() } : {};
      requireFinite({ loss, gradNorm, ...terms, ...gauges, ...clipped });
      const lr = cosineSchedule(train, step);
      this.optimizer.step(lr);
      this.average.update(step);
      const result = { loss, terms, gradNorm, lr };
      if (!this.gan) return result;
      const discriminatorLr = this.gan.update(step, this.numbers.discriminatorScale);
      followLogits(this.numbers, gauges);
      const told = { ...gauges, ...clipped, adversarialWeight: weight, discriminatorLr };
      const recon = loss - weight * (terms.adversarial ?? 0);
      const observed = { hinge: gauges.hinge!, recon, weight };
      return { ...result, gauges: told, ...this.guard?.observe(observed) };
    });
  }

  /** Adds a micro-batch's share to the gradients of both sides; both see the weights of before the step. */
  #backward(batch: Batch, { step, weight }: { step: number; weight: number }) {
    return scope(() => {
      const { config, device, tokenizer } = this;
      const { accumulate, checkpointing: isCheckpointing, precision } = config.train;
      const { indices } = batch;
      const pixels = pixelsOf(batch, { device });
      const autocasting = <T>(fn: () => T) => autocast({ device, dtype: precision }, fn);
      const checkpointing = isCheckpointing ? new Checkpointing(autocasting) : undefined;
      const isEncoderFrozen = this.#isEncoderFrozen;
      const draws = drawPass(config, indices, sizeOf(batch));
      const { kl, recon } = autocasting(() =>
        passThrough(tokenizer, { pixels, draws, checkpointing, isEncoderFrozen }),
      );
      // The losses see a leaf: its gradient goes on to the decoder when the discriminator's activations are gone.
      const leaf = recon.detach().requiresGrad_();
      const { loss, logged, judged } = autocasting(() =>
        this.#losses(leaf, pixels, indices, weight),
      );
      const [slope] = grad([loss], [leaf], { retainGraph: judged !== undefined });
      const gauges = judged ? this.gan!.backward(judged, step, this.numbers) : {};
      const klWeight = isEncoderFrozen ? 0 : config.losses.kl;
      const onward = recon.mul(slope!).sum();
      const whole = (klWeight ? onward.add(kl.mul(klWeight)) : onward).div(accumulate);
      if (checkpointing) checkpointing.backward(whole);
      else whole.backward();
      const terms = Object.entries({ ...logged, kl }).map(([name, term]) => [name, term.item()]);
      const numbers = Object.fromEntries(terms) as Record<string, number>;
      return { terms: { ...numbers, loss: numbers.loss! + klWeight * numbers.kl! }, gauges };
    });
  }

  /** The decoder's loss over a reconstruction, without KL; the discriminator's logits where there is one. */
  #losses(recon: Tensor, pixels: Tensor, indices: readonly number[], weight: number) {
    const { config, gan } = this;
    const squares = lossSquares(recon, pixels, { config, indices });
    const judged: Judged | undefined = gan?.judge(...squares, indices);
    const terms = {
      ...reconTerms(recon, pixels, config),
      ...(this.#lpips ? { lpips: perceptual(this.#lpips, ...squares) } : {}),
      ...(judged ? { adversarial: gan!.term(judged) } : {}),
    };
    const weights = { ...termWeights(config), kl: 0, adversarial: weight };
    return { ...weightedSum(terms, weights), judged };
  }

  recover(lost: Readonly<Record<string, number>>): RunEvent {
    if (!this.guard) throw new Error("Expected a GAN to recover, received a run without one.");
    return this.guard.recover(lost);
  }

  evaluate(source: Source, request: EvaluateRequest): Promise<Evaluation | undefined> {
    const { tokenizer } = this.average;
    return evaluateTokenizer(tokenizer, source, {
      ...request,
      config: this.config,
      weights: "ema",
    });
  }

  save(folder: string, provenance: Readonly<Record<string, unknown>>): void {
    this.average.tokenizer.save(folder, { weights: "ema", provenance });
  }

  dispose(): void {
    this.optimizer.zeroGrad();
    this.optimizer.dispose();
    this.gan?.dispose();
    this.average.dispose();
    this.tokenizer.dispose();
    this.#lpips?.dispose();
  }
}

function requireFinite(numbers: Readonly<Record<string, number>>): void {
  const wrong = Object.entries(numbers).filter(([, value]) => !Number.isFinite(value));
  if (wrong.length)
    throw new NonFiniteError(
      `Expected finite losses and gradients, received ${wrong.map(([name, value]) => `${name} ${value}`).join(", ")}.`,
    );
}
