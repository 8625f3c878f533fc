// Stage 1: everything learns, on MSE + 1e-3 KL + LPIPS (spec sections 2 and 3). One step is here; the loop is trainer.ts.
import type { Batch } from "../data/batch.js";
import type { Source } from "../data/source.js";
import { perceptual } from "../losses/perceptual.js";
import { weightedSum } from "../losses/weighted-sum.js";
import { Checkpointing } from "../nn/checkpointing.js";
import { coloursFirst } from "../nn/fused/pixels.js";
import { parameters } from "../nn/parameters.js";
import { cosineSchedule } from "../nn/schedule.js";
import { Lpips } from "../perceptual/lpips.js";
import { variantName } from "../tokenizer/config.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import {
  autocast,
  type Placed,
  type RawInput,
  scope,
  stack,
  type Tensor,
  upload,
} from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import { evaluateTokenizer } from "./evaluate-tokenizer.js";
import { FusedLearner } from "./fused-learner.js";
import { createFusedLearner, planRecording } from "./gpu-step.js";
import { alone, createLearner, type Learner, type Together } from "./learner.js";
import { meansOf, splitTensors } from "./micro-batches.js";
import { trainingFlops } from "./pace.js";
import {
  type EvaluateRequest,
  type Evaluation,
  NonFiniteError,
  type Recipe,
  type StepResult,
} from "./recipe.js";
import { RecordedStep, readNumbers, type StepNumbers } from "./recorded-step.js";
import { startTokenizer } from "./start-tokenizer.js";
import {
  drawPass,
  lossSquares,
  type PassDraws,
  passThrough,
  reconTerms,
  sizeOf,
  termWeights,
} from "./tokenizer-pass.js";

/** What a step reads of a batch: bytes [B, T, H, W, 3], and what was drawn for it. */
type StepInputs = PassDraws & { readonly bytes: RawInput };
type StepTensors = Placed<StepInputs>;

export class Stage1 implements Recipe {
  readonly tokenizer: Tokenizer;
  readonly optimizer: Learner;
  readonly numbers = {};
  readonly flopsPerSample: number;
  readonly notes: readonly string[];
  readonly #lpips: Lpips | undefined;
  /** Of batches of the first one's shape. */
  readonly #recorded: RecordedStep<StepInputs> | undefined;
  #recordedShape: string | undefined;

  constructor(
    private readonly config: TrainConfig,
    readonly device: string,
    private readonly together: Together = alone,
  ) {
    const { losses, train } = config;
    this.flopsPerSample = trainingFlops(config); // first: a size that does not fit fails before anything is made
    // Before the model, because it may be missing.
    if (losses.lpips > 0)
      this.#lpips = Lpips.load({ trunk: losses.lpipsTrunk, device, dtype: train.precision });
    const { tokenizer, notes } = startTokenizer(config, device, { isExact: false });
    this.tokenizer = tokenizer;
    const learning = parameters(tokenizer);
    const fused = createFusedLearner(learning, { train, device, together });
    this.optimizer = fused ?? createLearner(learning, { ...train, group: together.group });
    const recording = planRecording(config, device);
    this.notes = [...notes, ...recording.notes];
    if (fused && recording.records) this.#recorded = this.#record(fused);
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
      const inputs = upload(this.#inputsOf(batch), this.device);
      const numbers = readNumbers(this.#gradients(inputs, batch.indices));
      const lr = cosineSchedule(this.config.train, step);
      const result = this.#resultOf(numbers, lr);
      this.optimizer.step(lr);
      return result;
    });
  }

  /** As step(), of the batches that are recorded. Where a gradient is no number, the GPU leaves the update out. */
  start(batch: Batch, step: number): (() => StepResult) | undefined {
    const shape = String(batch.shape);
    this.#recordedShape ??= shape;
    if (!this.#recorded || shape !== this.#recordedShape) return undefined;
    const lr = cosineSchedule(this.config.train, step);
    (this.optimizer as FusedLearner).setRate(lr);
    const { read, events } = this.#recorded.start(() => this.#inputsOf(batch));
    return () => ({ ...this.#resultOf(read(), lr), events });
  }

  #record(learner: FusedLearner): RecordedStep<StepInputs> {
    const work = (inputs: StepTensors) => {
      const numbers = this.#gradients(inputs, []);
      learner.update();
      return numbers;
    };
    return new RecordedStep({ device: this.device, work });
  }

  #inputsOf(batch: Batch): StepInputs {
    const { bytes, shape, indices } = batch;
    const draws = drawPass(this.config, indices, sizeOf(batch));
    return { bytes: { bytes, shape, dtype: "uint8" }, ...draws };
  }

  /** The step's gradients, clipped: their norm before, and of each micro-batch the terms, unweighted, and their sum `loss`. */
  #gradients(inputs: StepTensors, indices: readonly number[]): Record<string, Tensor> {
    const { accumulate, maxGradNorm } = this.config.train;
    this.optimizer.zeroGrad();
    const count = inputs.noise.size(0) / accumulate;
    const parts = splitTensors(inputs, accumulate).map((part, index) => {
      if (index === accumulate - 1) this.optimizer.arm();
      return this.#backward(part, indices.slice(index * count, (index + 1) * count));
    });
    const terms = Object.keys(parts[0]!).map((name): [string, Tensor] => [
      name,
      stack(parts.map((part) => part[name]!)),
    ]);
    return { ...Object.fromEntries(terms), gradNorm: this.optimizer.clip(maxGradNorm) };
  }

  /** Adds a micro-batch's share to the gradients. */
  #backward(inputs: StepTensors, indices: readonly number[]): Record<string, Tensor> {
    return scope(() => {
      const { accumulate, checkpointing: isCheckpointing, precision } = this.config.train;
      const pixels = coloursFirst(inputs.bytes); // uint8: what reads them makes numbers of them
      const autocasting = <T>(fn: () => T) =>
        autocast({ device: this.device, dtype: precision }, fn);
      const checkpointing = isCheckpointing ? new Checkpointing(autocasting) : undefined;
      const { loss, logged } = autocasting(() =>
        this.#loss({ ...inputs, pixels }, indices, checkpointing),
      );
      const share = loss.div(accumulate);
      if (checkpointing) checkpointing.backward(share);
      else share.backward();
      return logged;
    });
  }

  #loss(
    { pixels, ...draws }: StepTensors & { pixels: Tensor },
    indices: readonly number[],
    checkpointing: Checkpointing | undefined,
  ) {
    const { config, tokenizer } = this;
    const { kl, recon } = passThrough(tokenizer, { pixels, draws, checkpointing });
    const squares = lossSquares(recon, pixels, { config, indices });
    const terms = { ...reconTerms(recon, pixels, config), kl };
    const lpips = this.#lpips && { lpips: perceptual(this.#lpips, ...squares) };
    return weightedSum({ ...terms, ...lpips }, termWeights(config));
  }

  /** @throws NonFiniteError */
  #resultOf(
    { gradNorm: [gradNorm = Number.NaN] = [], ...terms }: StepNumbers,
    lr: number,
  ): StepResult {
    const { loss = Number.NaN, ...others } = this.together.average(meansOf(terms));
    if (!Number.isFinite(loss) || !Number.isFinite(gradNorm))
      throw new NonFiniteError(
        `Expected a finite loss and gradient, received loss ${loss} and gradient norm ${gradNorm} (${JSON.stringify(others)}).`,
      );
    return { loss, terms: others, gradNorm, lr };
  }

  evaluate(source: Source, request: EvaluateRequest): Promise<Evaluation | undefined> {
    const evaluate = () =>
      evaluateTokenizer(this.tokenizer, source, { ...request, config: this.config });
    return this.optimizer instanceof FusedLearner
      ? this.optimizer.withMasters(evaluate)
      : evaluate();
  }

  save(folder: string, provenance: Readonly<Record<string, unknown>>): void {
    this.tokenizer.save(folder, { provenance });
  }

  dispose(): void {
    this.#recorded?.dispose();
    this.optimizer.zeroGrad();
    this.optimizer.dispose();
    this.tokenizer.dispose();
    this.#lpips?.dispose();
  }
}
