// What makes a recipe's step quick on a GPU: which learner with kernels it has, and whether its steps are recorded.
import { hasKernels, type Tensor } from "../torch/index.js";
import type { TrainConfig } from "./config.js";
import { FusedLearner } from "./fused-learner.js";
import type { Together } from "./learner.js";
import { ShardedFusedLearner } from "./sharded-fused-learner.js";

interface FusedLearnerOptions {
  readonly train: TrainConfig["train"];
  readonly device: string;
  readonly together: Together;
  /** Tensors that follow the parameters of the same names. */
  readonly averages?: Readonly<Record<string, Tensor>>;
}

/** Undefined where the recipe does not want it, and where there are no kernels. */
export function createFusedLearner(
  parameters: Iterable<[name: string, parameter: Tensor]>,
  { train, device, together, averages }: FusedLearnerOptions,
): FusedLearner | undefined {
  if (train.kernels === "off" || !hasKernels(device)) return undefined;
  const { group, isLocal } = together;
  // Between GPUs of one machine the wire is so fast that copies into buckets, and blocks taken from the backward pass, cost more
  // than hiding it wins.
  const overlaps = !(isLocal && device.startsWith("cuda"));
  const options = { overlaps, ...train, dtype: train.precision, averages };
  return train.shardOptimizer && group
    ? new ShardedFusedLearner(parameters, { ...options, group })
    : new FusedLearner(parameters, { ...options, group });
}

/** Whether a recipe's steps run ahead, recorded as a CUDA graph; where a GPU could do it and does not, a note says why. */
export function planRecording(
  config: TrainConfig,
  device: string,
): { records: boolean; notes: readonly string[] } {
  if (!hasKernels(device) || config.train.graph === "off") return { records: false, notes: [] };
  const reason = whyNot(config);
  const notes = reason ? [`steps are not recorded as a CUDA graph: ${reason}`] : [];
  return { records: !reason, notes };
}

function whyNot({ train, data, losses }: TrainConfig): string | undefined {
  if (train.kernels === "off") return "train.kernels is off";
  if (data.buckets) return "data.buckets has batches of many shapes";
  if (losses.cropSize > 0) return "losses.cropSize cuts another square in each step";
  return undefined;
}
