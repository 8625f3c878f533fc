// A bounded, even sample of the features that stream by (reservoir sampling, Vitter 1985), for the metrics that need
// features and not only their moments: KID, precision and recall, FID-infinity.
import { call, empty, Generator, keep, noGrad, rand, scope, Tensor } from "../torch/index.js";

export interface ReservoirOptions {
  /** Features kept at most. 10,000 of 2048 channels are 82 MB. */
  readonly capacity: number;
  readonly seed?: number;
}

/** Holds its tensor until dispose(), outside every scope. Every feature seen is kept with equal probability. */
export class FeatureReservoir {
  #rows: Tensor | undefined; // [capacity, C], float32, on the CPU
  #seen = 0;
  readonly #generator: Generator;
  readonly capacity: number;

  constructor({ capacity, seed = 0 }: ReservoirOptions) {
    if (!Number.isSafeInteger(capacity) || capacity < 1)
      throw new Error(
        `Expected a whole number of at least 1 for capacity, received ${capacity}. 10000 serves KID.`,
      );
    this.capacity = capacity;
    this.#generator = new Generator(seed);
  }

  /** Features that came by; min(seen, capacity) of them are kept. */
  get seen(): number {
    return this.#seen;
  }

  /** Features [N, C] of any float dtype, on any device. */
  update(features: Tensor): void {
    const [count = 0, channels = 0] = features.shape;
    if (features.ndim !== 2 || (this.#rows && this.#rows.size(1) !== channels))
      throw new Error(
        `Expected features [N, ${this.#rows?.size(1) ?? "C"}] for a reservoir, received [${features.shape}]. ` +
          "Keep one network and tap a set.",
      );
    this.#rows ??= keep(empty([this.capacity, channels]));
    // Of two features for one slot the later stays: index_copy_ leaves the order of duplicates open.
    const sources = new Map<number, number>();
    for (const [i, draw] of this.#draws(count).entries()) {
      const slot = this.#seen < this.capacity ? this.#seen : Math.floor(draw * (this.#seen + 1));
      this.#seen++;
      if (slot < this.capacity) sources.set(slot, i);
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

  /** [min(seen, capacity), C], float32: a copy. @throws an Error where nothing was seen. */
  features(): Tensor {
    if (this.#rows && this.#seen > 0)
      return scope(() => this.#rows!.narrow(0, 0, Math.min(this.#seen, this.capacity)).clone());
    throw new Error(
      "Expected at least one feature in the reservoir, received none. Give more files.",
    );
  }

  dispose(): void {
    this.#rows?.dispose();
  }

  /** Uniform in [0, 1). */
  #draws(count: number): number[] {
    const options = { dtype: "float64", generator: this.#generator } as const;
    return scope(() => [...rand([count], options).toArray()].map(Number));
  }
}

/** `count` random rows of features [N, C], none twice. */
export function randomRows(features: Tensor, count: number, generator: Generator): Tensor {
  const order = call("randperm.generator", features.size(0), generator.handle);
  return features.indexSelect(0, order.narrow(0, 0, count).to({ device: features.device }));
}

const indices = (values: Iterable<number>): Tensor =>
  Tensor.from(BigInt64Array.from([...values], BigInt));
