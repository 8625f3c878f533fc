// What a recipe learns with: an optimizer and the gradients it needs. Alone it is AdamW; over processes the gradients are
// averaged (gradient-buckets.ts says when), each process keeping all of the optimizer's state or, in sharded-learner.ts, its share.
import { AdamW, type AdamWOptions } from "../nn/adamw.js";
import { clipGradNorm } from "../nn/clip.js";
import type { ProcessGroup, Tensor } from "../torch/index.js";
import { type AverageOptions, GradientAverage } from "./gradient-buckets.js";
import type { RecipeState } from "./recipe.js";
import { ShardedLearner } from "./sharded-learner.js";

/** What a recipe needs of the processes it trains with; data-parallel.ts has the whole of it. */
export interface Together {
  readonly rank: number;
  readonly size: number;
  /** All processes are known to be on this machine. */
  readonly isLocal: boolean;
  /** Undefined: alone. */
  readonly group: ProcessGroup | undefined;
  /** The mean over the processes, name by name. */
  average<T extends Record<string, number>>(record: T): T;
}

export const alone: Together = {
  ...{ rank: 0, size: 1, isLocal: true, group: undefined },
  average: (record) => record,
};

/** Every process makes the same calls. A step: zeroGrad, backward passes with `arm` before the last, clip, step. */
export interface Learner extends RecipeState {
  zeroGrad(): void;
  /** What follows, up to `clip`, is the step's last backward pass: gradients may be sent while it runs. */
  arm(): void;
  /** Scales the averaged gradients so that their joint L2 norm is at most `maxNorm`; the norm before, a tensor of one element. */
  clip(maxNorm: number): Tensor;
  /** One update, with what `clip` left. */
  step(lr: number): void;
  /** Over all processes: where the state is shared, everyone has to ask for it, and gets all of it. */
  stateDict(): Record<string, Tensor>;
  dispose(): void;
}

export interface LearnerOptions extends AdamWOptions, AverageOptions {
  /** Undefined: alone. */
  readonly group?: ProcessGroup | undefined;
  /** Each process keeps its share of the optimizer's state and updates its share of the parameters (ZeRO-1). */
  readonly shardOptimizer?: boolean;
}

type Grouped = { group: ProcessGroup; overlaps: boolean } & AverageOptions;
type Named = Iterable<[name: string, parameter: Tensor]>;

/** The learner of the parameters that learn now; they stay the caller's. */
export function createLearner(parameters: Named, options: LearnerOptions = {}): Learner {
  const { group, shardOptimizer, overlaps = true, ...others } = options;
  const all = [...parameters];
  if (!group) return new LoneLearner(all, others);
  const Kind = shardOptimizer ? ShardedLearner : ReplicatedLearner;
  return new Kind(all, { ...others, group, overlaps });
}

/** AdamW with its parameters at hand. */
class LoneLearner extends AdamW implements Learner {
  readonly #leaves: readonly Tensor[];

  constructor(parameters: readonly [string, Tensor][], options: AdamWOptions) {
    super(parameters, options);
    this.#leaves = parameters.map(([, leaf]) => leaf).filter((leaf) => leaf.requiresGrad);
  }

  arm(): void {}

  clip(maxNorm: number): Tensor {
    return clipGradNorm(this.#leaves, maxNorm);
  }
}

/** Every process holds and computes all of it, from the same gradients. */
class ReplicatedLearner extends LoneLearner {
  readonly #average: GradientAverage;

  constructor(
    parameters: readonly [string, Tensor][],
    { group, overlaps, bucketBytes, ...options }: AdamWOptions & Grouped,
  ) {
    super(parameters, options);
    this.#average = new GradientAverage(group, parameters, { overlaps, bucketBytes });
  }

  override arm(): void {
    this.#average.arm();
  }

  override clip(maxNorm: number): Tensor {
    this.#average.finish();
    return super.clip(maxNorm);
  }

  override dispose(): void {
    this.zeroGrad();
    this.#average.dispose();
    super.dispose();
  }
}
