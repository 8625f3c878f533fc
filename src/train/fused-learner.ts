// The learner on a GPU: nn/fused-adamw.ts with its kernels and working copies. Over processes the gradients of the working copies
// are averaged while the backward pass runs, in their dtype. And whether its steps can be recorded.
import { aligned, FusedAdamW, type FusedAdamWOptions } from "../nn/fused-adamw.js";
import { hasKernels, type ProcessGroup, Reducer, type Tensor } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import { makeBuckets, type ParameterBucket } from "./gradient-buckets.js";
import type { Learner, Together } from "./learner.js";

interface SharedOptions {
  readonly group?: ProcessGroup | undefined;
  /** Send while the backward pass runs, or all at its end. */
  readonly overlaps?: boolean;
}

export class FusedLearner extends FusedAdamW implements Learner {
  readonly #group: ProcessGroup | undefined;
  readonly #overlaps: boolean;
  #reducer: Reducer | undefined;
  #buckets: readonly ParameterBucket[] = [];

  constructor(
    parameters: Iterable<[name: string, parameter: Tensor]>,
    { group, overlaps = true, ...options }: FusedAdamWOptions & SharedOptions = {},
  ) {
    super(parameters, options);
    this.#group = group;
    this.#overlaps = overlaps;
  }

  arm(): void {
    this.#reducer?.arm();
  }

  override clip(maxNorm: number): Tensor {
    if (this.#group) this.#average(this.#group);
    return super.clip(maxNorm);
  }

  /** Which leaves have gradients is known after the first backward pass, so that one's are sent at its end. */
  #average(group: ProcessGroup): void {
    if (!this.#reducer) {
      this.#buckets = makeBuckets(this.leaves(), group.size, { alignment: aligned });
      const options = { overlaps: this.#overlaps, alignment: aligned };
      this.#reducer = new Reducer(group, this.#buckets, options);
    }
    this.#reducer.finish();
  }

  /** An update that no average of the weights follows. */
  step(lr: number): void {
    this.setRate(lr);
    this.update();
  }

  override dispose(): void {
    this.#reducer?.dispose();
    this.zeroGrad();
    for (const { flat } of this.#buckets) flat.dispose();
    super.dispose();
  }
}

interface FusedLearnerOptions {
  readonly train: TrainConfig["train"];
  readonly device: string;
  readonly together: Together;
  /** Tensors that follow the parameters of the same names. */
  readonly averages?: Readonly<Record<string, Tensor>>;
}

/** Undefined where the recipe does not want it, where there are no kernels, and where processes share the optimizer's state. */
export function createFusedLearner(
  parameters: Iterable<[name: string, parameter: Tensor]>,
  { train, device, together, averages }: FusedLearnerOptions,
): FusedLearner | undefined {
  const isShared = train.shardOptimizer && together.group;
  if (train.kernels === "off" || !hasKernels(device) || isShared) return undefined;
  const { group } = together;
  return new FusedLearner(parameters, { ...train, dtype: train.precision, averages, group });
}

/** Whether a recipe's steps run ahead, recorded as a CUDA graph; where a GPU could do it and does not, a note says why. */
export function planRecording(
  config: TrainConfig,
  { device, learner }: { device: string; learner: Learner },
): { records: boolean; notes: readonly string[] } {
  if (!hasKernels(device) || config.train.graph === "off") return { records: false, notes: [] };
  const reason = whyNot(config, learner);
  const notes = reason ? [`steps are not recorded as a CUDA graph: ${reason}`] : [];
  return { records: !reason, notes };
}

function whyNot({ train, data, losses }: TrainConfig, learner: Learner): string | undefined {
  if (train.kernels === "off") return "train.kernels is off";
  if (!(learner instanceof FusedLearner))
    return "the processes share the optimizer's state (train.shardOptimizer)";
  if (data.buckets) return "data.buckets has batches of many shapes";
  if (losses.cropSize > 0) return "losses.cropSize cuts another square in each step";
  return undefined;
}
