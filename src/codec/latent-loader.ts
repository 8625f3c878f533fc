// Batches of latents for training, out of a folder of shards: shuffled anew each epoch, one view of each picture. Every
// choice is keyed by (seed, epoch, global sample index), as the loader of pictures does it, so its state is one number too.
import { randomStream, shuffled } from "../data/random.js";
import { Tensor } from "../torch/index.js";
import type { LatentSet } from "./latent-set.js";

export interface LatentBatch {
  /** Mean and log-variance [B, L, 2c] as raw bytes of `dtype`. */
  readonly moments: Uint8Array;
  readonly dtype: "float16" | "bfloat16";
  readonly shape: readonly [number, number, number];
  /** Global sample index of each latent: the key of its random choices. */
  readonly indices: readonly number[];
  /** Row in the set of each latent. */
  readonly files: readonly string[];
  /** Class of each latent, or -1. */
  readonly labels: readonly number[];
}

export interface LatentLoaderOptions {
  /** Latents in a global batch; each of `worldSize` processes gets its share of it. */
  readonly batchSize: number;
  readonly seed: number;
  readonly startSample?: number;
  /** Whether mirror images are drawn, where the set has them. */
  readonly flip: boolean;
  readonly rank?: number;
  readonly worldSize?: number;
}

const purpose = { shuffle: 1, flip: 3 };

export class LatentLoader {
  /** Shards are read whole or not at all; what could not be decoded is in the manifest. */
  readonly unreadable: readonly { file: string; reason: string }[] = [];
  /** How long reading took, in total. */
  waitMs = 0;
  #sample: number;
  #order: { epoch: number; rows: Uint32Array } | undefined;

  constructor(
    private readonly set: LatentSet,
    private readonly options: LatentLoaderOptions,
  ) {
    this.#sample = options.startSample ?? 0;
    const { batchSize, worldSize = 1 } = options;
    if (batchSize % worldSize !== 0)
      throw new RangeError(
        `Expected a multiple of ${worldSize} processes for batchSize, received ${batchSize}.`,
      );
  }

  /** Global sample index of the next batch: all there is to save for an exact resume. */
  get sample(): number {
    return this.#sample;
  }

  async next(): Promise<LatentBatch> {
    const { batchSize, rank = 0, worldSize = 1 } = this.options;
    const started = performance.now();
    const share = batchSize / worldSize;
    const first = this.#sample + rank * share;
    const indices = Array.from({ length: share }, (_, i) => first + i);
    const rows = indices.map((index) => ({ row: this.#row(index), view: this.#view(index) }));
    const { grid, channels, dtype } = this.set.manifest;
    const batch: LatentBatch = {
      moments: this.set.read(rows),
      dtype,
      shape: [share, grid[0] * grid[1] * grid[2], 2 * channels],
      indices,
      files: rows.map(({ row }) => `row ${row} of ${this.set.folder}`),
      labels: rows.map(({ row }) => this.set.labels[row]!),
    };
    this.#sample += batchSize;
    this.waitMs += performance.now() - started;
    return batch;
  }

  newlyUnreadable(): readonly { file: string; reason: string }[] {
    return this.unreadable;
  }

  close(): void {
    this.set.close();
  }

  #row(index: number): number {
    const epoch = Math.floor(index / this.set.length);
    if (this.#order?.epoch !== epoch) {
      const random = randomStream(this.options.seed, purpose.shuffle, epoch);
      this.#order = { epoch, rows: shuffled(this.set.length, random) };
    }
    return this.#order.rows[index % this.set.length]!;
  }

  #view(index: number): number {
    if (!this.options.flip || this.set.manifest.views === 1) return 0;
    return randomStream(this.options.seed, purpose.flip, index).int(2);
  }
}

/** A batch's moments on a device, float32 [B, L, 2c]. */
export function momentsTensor({ moments, dtype, shape }: LatentBatch, device: string): Tensor {
  return Tensor.fromBytes(moments, shape, { dtype }).to({ device }).to({ dtype: "float32" });
}
