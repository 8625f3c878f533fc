// A bounded, even sample of the features that stream by, for the metrics that need features and not only their moments:
// KID, precision and recall, FID-infinity. Every feature draws a number by its place, and those of the least numbers stay
// (bottom-k sampling): so a sample can be saved, gone on with, and merged with that of another part of the set.
import { call, empty, type Generator, keep, noGrad, scope, Tensor } from "../torch/index.js";

export interface ReservoirOptions {
  /** Features kept at most. 10,000 of 2048 channels are 82 MB. */
  readonly capacity: number;
  /** A whole number; the same for parts of one set that are to be merged. */
  readonly seed?: number;
}

/** What has been seen, to go on from later. */
export interface ReservoirState {
  readonly seen: number;
  /** [min(seen, capacity), C] */
  readonly rows: Tensor;
  /** Of each row the number it drew, float64 [min(seen, capacity)]. */
  readonly draws: Tensor;
}

/** Holds its tensor until dispose(), outside every scope. Every feature seen is kept with equal probability. */
export class FeatureReservoir {
  #rows: Tensor | undefined; // [capacity, C], float32, on the CPU
  #draws: number[] = []; // one a row
  #seen = 0;
  readonly #seed: number;
  readonly capacity: number;

  constructor({ capacity, seed = 0 }: ReservoirOptions) {
    if (!Number.isSafeInteger(capacity) || capacity < 1)
      throw new Error(
        `Expected a whole number of at least 1 for capacity, received ${capacity}. 10000 serves KID.`,
      );
    this.capacity = capacity;
    this.#seed = seed;
  }

  /** Features that came by; min(seen, capacity) of them are kept. */
  get seen(): number {
    return this.#seen;
  }

  /**
   * Features [N, C] of any float dtype, on any device. `places` are their numbers in the set, by default the next ones:
   * the sample depends on them alone, not on the order of coming or on how the set was cut into parts.
   */
  update(features: Tensor, places?: readonly number[]): void {
    const [count = 0] = features.shape;
    const numbers = places ?? Array.from({ length: count }, (_, i) => this.#seen + i);
    this.#offer(
      features,
      numbers.map((place) => uniform(this.#seed, place)),
    );
    this.#seen += count;
  }

  /** Adds what `other`, of another part of the set, has seen. `other` stays as it is. */
  merge(other: FeatureReservoir): void {
    if (other.seen > 0) scope(() => this.#offer(other.#kept(), other.#draws));
    this.#seen += other.seen;
  }

  /** [min(seen, capacity), C], float32, in the order of their draws: a copy. @throws an Error where nothing was seen. */
  features(): Tensor {
    const order = this.#draws.map((_, i) => i).sort((a, b) => this.#draws[a]! - this.#draws[b]!);
    if (this.#seen > 0) return scope(() => this.#kept().indexSelect(0, indices(order)));
    throw new Error(
      "Expected at least one feature in the reservoir, received none. Give more files.",
    );
  }

  /** To save, in a scope; undefined where nothing was seen. Restoring copies. */
  state(): ReservoirState | undefined {
    if (this.#seen === 0) return undefined;
    const draws = Tensor.from(Float64Array.from(this.#draws), [this.#draws.length]);
    return { seen: this.#seen, rows: this.#kept().clone(), draws };
  }
  restore({ seen, rows, draws }: ReservoirState): void {
    this.#draws = [];
    this.#offer(rows, [...draws.toArray()].map(Number));
    this.#seen = seen;
  }

  dispose(): void {
    this.#rows?.dispose();
  }

  #kept(): Tensor {
    return this.#rows!.narrow(0, 0, this.#draws.length);
  }

  /** Gives each feature a free row, or that of the greatest draw where its own is less. */
  #offer(features: Tensor, draws: readonly number[]): void {
    const [, channels = 0] = features.shape;
    if (features.ndim !== 2 || (this.#rows && this.#rows.size(1) !== channels))
      throw new Error(
        `Expected features [N, ${this.#rows?.size(1) ?? "C"}] for a reservoir, received [${features.shape}]. ` +
          "Keep one network and tap a set.",
      );
    this.#rows ??= keep(empty([this.capacity, channels]));
    // Of two features for one row the later stays: index_copy_ leaves the order of duplicates open.
    const sources = new Map<number, number>();
    let greatest = this.#greatest();
    for (const [i, draw] of draws.entries()) {
      const isFull = this.#draws.length === this.capacity;
      if (isFull && draw >= this.#draws[greatest]!) continue;
      const row = isFull ? greatest : this.#draws.length;
      this.#draws[row] = draw;
      sources.set(row, i);
      if (this.#draws.length === this.capacity) greatest = this.#greatest();
    }
    const rows = this.#rows;
    if (sources.size === 0) return;
    noGrad(() =>
      scope(() => {
        const source = indices(sources.values()).to({ device: features.device });
        const chosen = features.indexSelect(0, source).to({ dtype: "float32", device: "cpu" });
        call("index_copy_", rows, 0, indices(sources.keys()), chosen);
      }),
    );
  }

  #greatest(): number {
    return this.#draws.reduce((row, draw, i) => (draw > this.#draws[row]! ? i : row), 0);
  }
}

/** `count` random rows of features [N, C], none twice. */
export function randomRows(features: Tensor, count: number, generator: Generator): Tensor {
  const order = call("randperm.generator", features.size(0), generator.handle);
  return features.indexSelect(0, order.narrow(0, 0, count).to({ device: features.device }));
}

const indices = (values: Iterable<number>): Tensor =>
  Tensor.from(BigInt64Array.from([...values], BigInt));

/** In [0, 1), 52 bits, by seed and place: two rounds of a mixer of 32 bits (Wellons' lowbias32). */
function uniform(seed: number, place: number): number {
  const high = mix(mix(seed + 1) ^ place);
  const low = mix(high ^ mix(Math.floor(place / 2 ** 32) + 0x9e3779b9));
  return (high * 2 ** 20 + (low >>> 12)) / 2 ** 52;
}

function mix(word: number): number {
  let h = word | 0;
  h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
  h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
  return (h ^ (h >>> 16)) >>> 0;
}
