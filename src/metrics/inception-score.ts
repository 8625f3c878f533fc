// Inception Score (Salimans 2016): exp of the mean divergence of a picture's classes from the mean classes of its split.
// In float64. Of a set of known size only sums are kept, so that memory does not grow with it.
import { call, cat, keep, noGrad, scope, Tensor, zeros } from "../torch/index.js";
import { legacyPermutation } from "./legacy-permutation.js";

export interface InceptionScoreOptions {
  /**
   * Pictures in the set. It tells which split a picture belongs to as it comes by, so that sums suffice: splits x C
   * float64. Without it the logits are kept until compute(), 4 kB a picture.
   */
  readonly count?: number;
  /** The most splits that compute() will be asked for; it can be asked for any divisor. Default 10. */
  readonly splits?: number;
  /**
   * `listed` (the default): splits are runs of pictures in the order they come. `shuffled`: in the order torch-fidelity
   * draws, for sets that are listed by class: a run of them holds few classes, and would score low.
   */
  readonly order?: "listed" | "shuffled";
}

/** What has been seen, to go on from later. */
export interface InceptionScoreState {
  readonly seen: number;
  /** [splits, C + 1]: probabilities by class, then p log p, summed over each split's pictures */
  readonly sums: Tensor;
}

/** Holds its tensors until dispose(), outside every scope. */
export class InceptionScore {
  readonly #options: Required<Omit<InceptionScoreOptions, "count">>;
  readonly #count: number | undefined;
  /** place of each picture in the order; undefined where it is the listed one */
  readonly #places: Uint32Array | undefined;
  #seen = 0;
  #sums: Tensor | undefined;
  readonly #logits: Tensor[] = [];

  constructor({ count, splits = 10, order = "listed" }: InceptionScoreOptions = {}) {
    requireSplits(splits, count);
    this.#options = { splits, order };
    this.#count = count;
    if (count !== undefined && order === "shuffled") this.#places = places(count);
  }

  /**
   * Logits [N, C] of any float dtype, on any device: the classifier's output without its bias (spec section 5). `pictures`
   * are their numbers in the set, by default the next ones; only a set of known size can take them in another order.
   */
  update(logits: Tensor, pictures?: readonly number[]): void {
    const count = this.#count;
    if (logits.ndim !== 2)
      throw new Error(`Expected logits [N, C] for an Inception Score, received [${logits.shape}].`);
    if (count === undefined) {
      this.#logits.push(keep(logits.detach().to({ dtype: "float32", device: "cpu" }).clone()));
      return;
    }
    const [rows = 0, classes = 0] = logits.shape;
    const numbers = pictures ?? Array.from({ length: rows }, (_, i) => this.#seen + i);
    if (this.#seen + rows > count || numbers.some((number) => number >= count))
      throw new Error(
        `Expected ${count} pictures for an Inception Score, received more. Give \`count\` as the set has it.`,
      );
    const { device } = logits;
    const shape = [this.#options.splits, classes + 1];
    this.#sums ??= keep(zeros(shape, { dtype: "float64", device }));
    const sums = this.#sums;
    const splits = BigInt64Array.from(numbers, (number) => BigInt(this.#splitOf(number, count)));
    noGrad(() =>
      scope(() => {
        const index = Tensor.from(splits).to({ device });
        call("index_add_", sums, 0, index, summands(logits));
      }),
    );
    this.#seen += rows;
  }

  /** Adds what `other`, of another part of the same set, has seen. `other` stays as it is. */
  merge(other: InceptionScore): void {
    const state = other.state();
    if (!state) return;
    noGrad(() =>
      scope(() => {
        if (this.#sums) this.#sums.add_(state.sums.to({ device: this.#sums.device }));
        else this.#sums = keep(state.sums.clone());
      }),
    );
    state.sums.dispose();
    this.#seen += state.seen;
  }

  /** Pictures that came by or were skipped. */
  get seen(): number {
    return this.#seen;
  }

  /** Goes on without so many pictures: those that could not be read. */
  skip(pictures: number): void {
    this.#seen += pictures;
  }

  /**
   * Mean and (population) deviation of the splits' scores. `splits` 1 scores the set as a whole: a deviation of 0.
   * @throws an Error where not all pictures were seen, or there are fewer than splits.
   */
  compute(splits = this.#options.splits): { mean: number; deviation: number } {
    if (this.#count === undefined) return this.#replay(splits);
    if (this.#options.splits % splits !== 0)
      throw new Error(
        `Expected a divisor of ${this.#options.splits} for splits, received ${splits}. Give the constructor \`splits\`.`,
      );
    if (!this.#sums || this.#seen !== this.#count)
      throw new Error(
        `Expected ${this.#count} pictures for an Inception Score, received ${this.#seen}. Give \`count\` as the set has it.`,
      );
    const sums = this.#sums;
    const scores = noGrad(() => scope(() => scoresOf(sums, splits)));
    return spread(scores);
  }

  /** To save; undefined where nothing was seen, or the size of the set is not known. Restoring copies. */
  state(): InceptionScoreState | undefined {
    return this.#sums && { seen: this.#seen, sums: this.#sums.clone() };
  }
  restore({ seen, sums }: InceptionScoreState): void {
    this.#sums?.dispose();
    this.#sums = keep(sums.to({ dtype: "float64" }).clone());
    this.#seen = seen;
  }

  dispose(): void {
    for (const tensor of [...this.#logits, this.#sums]) tensor?.dispose();
  }

  /** Split i holds the pictures from floor(i n / splits) to before floor((i + 1) n / splits). */
  #splitOf(picture: number, count: number): number {
    const place = this.#places?.[picture] ?? picture;
    return Math.ceil(((place + 1) * this.#options.splits) / count) - 1;
  }

  /** Now that their number is known, the logits go the other way. */
  #replay(splits: number): { mean: number; deviation: number } {
    const count = this.#logits.reduce((sum, logits) => sum + logits.size(0), 0);
    const counted = new InceptionScore({ ...this.#options, count, splits });
    try {
      for (const logits of this.#logits) counted.update(logits);
      return counted.compute();
    } finally {
      counted.dispose();
    }
  }
}

/** [N, C] -> float64 [N, C + 1]: p, and the sum of p log p. */
function summands(logits: Tensor): Tensor {
  const logs = logits.to({ dtype: "float64" }).logSoftmax(1);
  const p = logs.exp();
  return cat([p, p.mul(logs).sum(1, true)], 1);
}

/** One score a split: exp of the mean of sum p log p, less sum q log q of the split's mean classes q. */
function scoresOf(sums: Tensor, splits: number): number[] {
  const [parts = 0, width = 0] = sums.shape;
  const merged = sums.reshape([splits, parts / splits, width]).sum(1);
  const sizes = merged.narrow(1, 0, width - 1).sum(1, true); // probabilities: each picture's sum to 1
  const means = merged.div(sizes);
  const q = means.narrow(1, 0, width - 1);
  const own = means.select(1, width - 1);
  const score = own.sub(call("xlogy.Tensor", q, q).sum(1)).exp();
  return [...score.toArray()].map(Number);
}

function spread(values: readonly number[]): { mean: number; deviation: number } {
  const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / values.length) };
}

/** torch-fidelity's order: the seed is its default. */
function places(count: number): Uint32Array {
  const inverse = new Uint32Array(count);
  for (const [place, picture] of legacyPermutation(count, 2020).entries()) inverse[picture] = place;
  return inverse;
}

function requireSplits(splits: number, count: number | undefined): void {
  if (!Number.isSafeInteger(splits) || splits < 1)
    throw new Error(`Expected a whole number of at least 1 for splits, received ${splits}.`);
  if (count !== undefined && !(count >= splits))
    throw new Error(
      `Expected at least ${splits} pictures for ${splits} splits, received ${count}. Give more files, or splits: 1.`,
    );
}
