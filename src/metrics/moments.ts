// Mean and covariance of features, batch by batch: memory does not grow with their number, and parts counted apart
// merge as if they had been one (Chan, Golub, LeVeque 1979). In float64. What is done with them: frechet.ts.
import { call, cat, keep, noGrad, scope, type Tensor, zeros } from "../torch/index.js";

export interface MomentsOptions {
  /** Where the sums are kept: "cpu" (the default) or "cuda:0". */
  readonly device?: string;
}

/** What a file of statistics holds. */
export interface Statistics {
  /** [C] */
  readonly mean: Tensor;
  /** [C, C], over n - 1 */
  readonly covariance: Tensor;
  /** n, NaN where it is not known */
  readonly count: number;
}

/** Holds its tensors until dispose(), outside every scope. */
export class Moments {
  readonly channels: number;
  #count = 0;
  readonly #mean: Tensor; // [C]
  readonly #scatter: Tensor; // [C, C], sum of (x - mean)(x - mean)'

  constructor(channels: number, { device = "cpu" }: MomentsOptions = {}) {
    if (!Number.isSafeInteger(channels) || channels < 1)
      throw new Error(
        `Expected a whole number of at least 1 for channels, received ${channels}. Give the features' width.`,
      );
    this.channels = channels;
    this.#mean = keep(zeros([channels], { dtype: "float64", device }));
    this.#scatter = keep(zeros([channels, channels], { dtype: "float64", device }));
  }

  /**
   * From statistics made before, copied. With a count of NaN they can be compared, but not added to.
   * @throws an Error where the shapes are not [C] and [C, C].
   */
  static from({ mean, covariance, count }: Statistics): Moments {
    const [channels = 0] = mean.shape;
    if (mean.ndim !== 1 || String(covariance.shape) !== `${channels},${channels}`)
      throw new Error(
        "Expected a mean [C] and a covariance [C, C] for moments, " +
          `received [${mean.shape}] and [${covariance.shape}]. Give both of one network.`,
      );
    const moments = new Moments(channels, { device: mean.device });
    noGrad(() =>
      scope(() => {
        moments.#mean.copy_(mean);
        moments.#scatter.copy_(covariance).mul_(Number.isNaN(count) ? 1 : Math.max(count - 1, 0));
      }),
    );
    moments.#count = count;
    return moments;
  }

  get device(): string {
    return this.#mean.device;
  }

  /** Samples seen; NaN where the statistics came without their number. */
  get count(): number {
    return this.#count;
  }

  /** Adds features [N, C] of any float dtype, on any device; N may be 0. */
  update(features: Tensor): void {
    if (features.ndim !== 2 || features.shape[1] !== this.channels)
      throw new Error(
        `Expected features [N, ${this.channels}] for moments, received [${features.shape}]. ` +
          "Keep one network and tap a set.",
      );
    if (features.shape[0] === 0) return;
    noGrad(() =>
      scope(() => {
        const x = features.to({ dtype: "float64", device: this.#mean.device });
        const mean = x.mean(0);
        const centred = x.sub(mean);
        this.#absorb({ count: x.size(0), mean, rows: centred });
      }),
    );
  }

  /** Adds what `other` has seen, as if both had been one. `other` stays as it is. */
  merge(other: Moments): void {
    if (other.channels !== this.channels)
      throw new Error(
        `Expected moments of ${this.channels} channels to merge, received ${other.channels}. Merge those of one network and tap.`,
      );
    if (other.count === 0) return;
    const { device } = this.#mean;
    noGrad(() =>
      scope(() => {
        const mean = other.#mean.to({ device });
        this.#absorb({ count: other.count, mean });
        this.#scatter.add_(other.#scatter.to({ device }));
      }),
    );
  }

  /** [C], float64. @throws an Error where nothing was seen. */
  mean(): Tensor {
    this.#require(1);
    return this.#mean.clone();
  }

  /** [C, C], float64, over n - 1. @throws an Error for fewer than two samples. */
  covariance(): Tensor {
    this.#require(2);
    return Number.isNaN(this.#count) ? this.#scatter.clone() : this.#scatter.div(this.#count - 1);
  }

  /** Everything seen so far, to go on from exactly: a scatter, not divided by n - 1. The scope around frees it. */
  state(): { mean: Tensor; scatter: Tensor; count: number } {
    return { mean: this.#mean.clone(), scatter: this.#scatter.clone(), count: this.#count };
  }

  /** From such a state, copied. */
  static restore(state: ReturnType<Moments["state"]>): Moments {
    const moments = new Moments(state.mean.size(0), { device: state.mean.device });
    noGrad(() => {
      moments.#mean.copy_(state.mean);
      moments.#scatter.copy_(state.scatter);
    });
    moments.#count = state.count;
    return moments;
  }

  dispose(): void {
    this.#mean.dispose();
    this.#scatter.dispose();
  }

  /**
   * Moves the mean, and adds to the scatter `rows` (centred on their own mean) and what the two means' distance d
   * contributes, n m / (n + m) d d': it goes in as one more row, so that the matrix is passed over once.
   */
  #absorb({ count, mean, rows }: { count: number; mean: Tensor; rows?: Tensor }): void {
    if (Number.isNaN(this.#count) || Number.isNaN(count))
      throw new Error(
        "Expected statistics with their number of samples to add to, received some without. Make them anew.",
      );
    const total = this.#count + count;
    const distance = mean.sub(this.#mean);
    const between = distance.mul(Math.sqrt((this.#count / total) * count)).unsqueeze(0);
    const all = rows ? cat([rows, between]) : between; // [N + 1, C]
    call("addmm_", this.#scatter, all.transpose(0, 1), all);
    this.#mean.add_(distance.mul(count / total));
    this.#count = total;
  }

  #require(least: number): void {
    if (this.#count < least)
      throw new Error(
        `Expected at least ${least} sample${least > 1 ? "s" : ""} for ${least > 1 ? "a covariance" : "a mean"}, ` +
          `received ${this.#count}. Give more files.`,
      );
  }
}
