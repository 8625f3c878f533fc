// The learner on a GPU: nn/fused-adamw.ts with its kernels and working copies. Over processes the gradients of the working copies
// are averaged in their dtype. Each with its share of the optimizer: sharded-fused-learner.ts.
import { aligned } from "../nn/flat-layout.js";
import { FusedAdamW, type FusedAdamWOptions } from "../nn/fused-adamw.js";
import type { ProcessGroup, Tensor } from "../torch/index.js";
import { type AverageOptions, GradientAverage } from "./gradient-buckets.js";
import type { Learner } from "./learner.js";

interface GroupOptions extends AverageOptions {
  readonly group?: ProcessGroup | undefined;
}

export class FusedLearner extends FusedAdamW implements Learner {
  readonly #group: ProcessGroup | undefined;
  readonly #options: AverageOptions;
  #average: GradientAverage | undefined;

  constructor(
    parameters: Iterable<[name: string, parameter: Tensor]>,
    { group, overlaps = true, bucketBytes, ...options }: FusedAdamWOptions & GroupOptions = {},
  ) {
    super(parameters, options);
    this.#group = group;
    this.#options = { overlaps, bucketBytes };
  }

  arm(): void {
    this.#average?.arm();
  }

  /** Which leaves have gradients is known after the first backward pass, so that one's are sent at its end. */
  override clip(maxNorm: number): Tensor {
    if (this.#group)
      this.#average ??= new GradientAverage(this.#group, this.leaves(), {
        ...this.#options,
        alignment: aligned,
      });
    this.#average?.finish();
    return super.clip(maxNorm);
  }

  /** An update that no average of the weights follows. */
  step(lr: number): void {
    this.setRate(lr);
    this.update();
  }

  /** Where processes share masters and averages, all of them call this before any of them reads those. */
  join(): void {}

  override withMasters<T>(fn: () => Promise<T>): Promise<T> {
    this.join();
    return super.withMasters(fn);
  }

  override dispose(): void {
    this.zeroGrad();
    this.#average?.dispose();
    super.dispose();
  }
}
