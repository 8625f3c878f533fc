// The learner of one process on a GPU: nn/fused-adamw.ts with its kernels and working copies. And whether its steps
// can be recorded.
import { FusedAdamW } from "../nn/fused-adamw.js";
import { hasKernels, type Tensor } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import type { Learner, Together } from "./learner.js";

export class FusedLearner extends FusedAdamW implements Learner {
  arm(): void {}

  /** An update that no average follows. */
  step(lr: number): void {
    this.setRate(lr);
    this.update();
  }
}

interface FusedLearnerOptions {
  readonly train: TrainConfig["train"];
  readonly device: string;
  readonly together: Together;
  /** Tensors that follow the parameters of the same names. */
  readonly averages?: Readonly<Record<string, Tensor>>;
}

/** Undefined where the recipe does not want it, where there are no kernels, and in several processes. */
export function createFusedLearner(
  parameters: Iterable<[name: string, parameter: Tensor]>,
  { train, device, together, averages }: FusedLearnerOptions,
): FusedLearner | undefined {
  if (train.kernels === "off" || !hasKernels(device) || together.group) return undefined;
  const { betas, weightDecay, precision: dtype } = train;
  return new FusedLearner(parameters, { betas, weightDecay, dtype, averages });
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
  if (!(learner instanceof FusedLearner)) return "several processes train together";
  if (data.buckets) return "data.buckets has batches of many shapes";
  if (losses.cropSize > 0) return "losses.cropSize cuts another square in each step";
  return undefined;
}
