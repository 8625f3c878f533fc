// Reads a source ahead of its consumer and hands over batches. Everything drawn at random is keyed by
// (seed, epoch, global sample index), so the whole state is one number, `sample`, and neither prefetching
// nor the number of processes can change what is seen. Bytes only: pixels are batch.ts.
import type { Clip, Size } from "../media/clip.js";
import { MediaError } from "../media/error.js";
import { type Batch, batchOf } from "./batch.js";
import { type Bucket, bucketAt } from "./buckets.js";
import { ClipCache } from "./clip-cache.js";
import { type LoaderOptions, withDefaults } from "./loader-options.js";
import { randomStream, shuffled } from "./random.js";
import type { Source } from "./source.js";
import { defaultRanges, evaluationCrop, trainingCrop } from "./transform.js";
import { Turns } from "./turns.js";

const purpose = { shuffle: 1, crop: 2, window: 3 }; // keeps the kinds of random choice apart

export type { LoaderOptions };

export class Loader implements AsyncIterable<Batch> {
  /** Files that could not be read, each once. */
  readonly unreadable: { file: string; reason: string }[] = [];
  /** How long consumers have waited for data, in total. */
  waitMs = 0;
  readonly #source: Source;
  readonly #options: Required<LoaderOptions>;
  readonly #cache: ClipCache;
  readonly #bad = new Set<number>();
  readonly #pending: { end: number; batch: Promise<Batch | undefined> }[] = [];
  readonly #turns: Turns;
  #sample: number;
  #fetched: number;
  #isClosed = false;
  #told = 0;
  readonly #orders = new Map<number, Uint32Array>();

  constructor(source: Source, options: LoaderOptions) {
    this.#source = source;
    this.#options = withDefaults(options);
    this.#turns = new Turns(this.#options.concurrency);
    this.#cache = new ClipCache(options.augment ? this.#options.cacheMiB : 0);
    this.#sample = this.#options.startSample;
    this.#fetched = this.#sample;
  }

  /** Global sample index of the next batch: all there is to save for an exact resume. */
  get sample(): number {
    return this.#sample;
  }

  /** The next batch, or undefined after the last one of an evaluation and after `close`. */
  async next(): Promise<Batch | undefined> {
    for (;;) {
      this.#fill();
      const head = this.#pending.shift();
      if (!head) return undefined;
      this.#fill();
      const started = performance.now();
      const batch = await head.batch;
      this.waitMs += performance.now() - started;
      if (this.#isClosed) return undefined;
      this.#sample = head.end;
      if (batch) return batch; // undefined: this process has no readable clip in it
    }
  }

  /** Those of `unreadable` that came since this was called last. */
  newlyUnreadable(): { file: string; reason: string }[] {
    const fresh = this.unreadable.slice(this.#told);
    this.#told = this.unreadable.length;
    return fresh;
  }

  /** Batches until the source ends; leaving the loop closes the loader. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void> {
    try {
      for (let batch = await this.next(); batch; batch = await this.next()) yield batch;
    } finally {
      this.close();
    }
  }

  /** Stops reading ahead and forgets what was read. */
  close(): void {
    this.#isClosed = true;
    this.#pending.length = 0;
    this.#cache.clear();
  }

  /** Starts batches until `prefetch` of them are under way. */
  #fill(): void {
    const { prefetch, augment, dropLast } = this.#options;
    while (!this.#isClosed && this.#pending.length < prefetch) {
      const start = this.#fetched;
      const { batchSize } = this.#bucketAt(start);
      const end = augment ? start + batchSize : Math.min(start + batchSize, this.#source.length);
      if (end <= start || (dropLast && end - start < batchSize)) return;
      this.#fetched = end;
      const batch = this.#readBatch(start, end);
      batch.catch(() => undefined); // reported when the consumer gets there
      this.#pending.push({ end, batch });
    }
  }

  async #readBatch(start: number, end: number): Promise<Batch | undefined> {
    const { rank, worldSize } = this.#options;
    const share = (part: number): number => start + Math.floor(((end - start) * part) / worldSize);
    const indices: number[] = [];
    for (let index = share(rank); index < share(rank + 1); index++) indices.push(index);
    if (this.#options.augment) this.#announce(indices);
    const size = this.#bucketAt(start);
    const read = await Promise.all(
      indices.map((index) => this.#turns.run(() => this.#read(index, size))),
    );
    const samples = read.filter((sample) => sample !== undefined);
    const { length } = this.#source;
    return samples.length === 0
      ? undefined
      : { ...collate(samples), epoch: Math.floor(start / length), position: start % length };
  }

  /** Shape and number of samples of the batch that begins at `start`. */
  #bucketAt(start: number): Bucket {
    const { buckets, seed, size, batchSize } = this.#options;
    if (buckets.length > 0) return bucketAt(buckets, seed, start);
    return { height: size, width: size, batchSize };
  }

  async #read(index: number, size: Size): Promise<Sample | undefined> {
    if (this.#isClosed) return undefined;
    const { augment, filter, seed, ranges } = this.#options;
    const epoch = Math.floor(index / this.#source.length);
    const place = augment ? this.#shuffledPlace(index) : index;
    const load = (at: number) => this.#load(at, { index, size });
    const found = await this.#firstReadable(place, augment ? this.#source.length : 1, load);
    if (!found) return undefined;
    const random = randomStream(seed, purpose.crop, epoch, index);
    const clip = augment
      ? await trainingCrop(found.clip, size, random, { ...defaultRanges, ...ranges })
      : evaluationCrop(found.clip, size.height, filter);
    const file = this.#source.id(found.place);
    return { index, file, label: this.#source.label(found.place) ?? -1, clip };
  }

  /** The clip at `place` or, up to `attempts`, the next that can be read: it depends on the place alone. */
  async #firstReadable(
    place: number,
    attempts: number,
    load: (place: number) => Promise<Clip>,
  ): Promise<{ place: number; clip: Clip } | undefined> {
    for (let attempt = 0; attempt < attempts && !this.#isClosed; attempt++) {
      const candidate = (place + attempt) % this.#source.length;
      if (this.#bad.has(candidate)) continue;
      try {
        return { place: candidate, clip: await load(candidate) };
      } catch (error) {
        if (!(error instanceof MediaError)) throw error;
        this.#recordUnreadable(candidate, error);
      }
    }
    return undefined;
  }

  /** Pictures may come from the cache; of a video, each sample of training has a window of its own. */
  #load(place: number, { index, size }: { index: number; size: Size }): Promise<Clip> {
    const { augment, seed, ranges } = this.#options;
    if (!augment) return this.#source.load(place);
    if (this.#source.fps === undefined)
      return this.#cache.get(place, () => this.#source.load(place));
    const epoch = Math.floor(index / this.#source.length);
    const at = randomStream(seed, purpose.window, epoch, index).next();
    const { scale, ratio } = { ...defaultRanges, ...ranges };
    const side = Math.max(size.height, size.width);
    const shortSide = Math.ceil(side * Math.sqrt(ratio[1] / scale[0])); // the smallest crop still shrinks
    return this.#source.load(place, { at, shortSide });
  }

  #recordUnreadable(place: number, error: MediaError): void {
    if (this.#bad.has(place)) return;
    this.#bad.add(place);
    this.unreadable.push({ file: this.#source.id(place), reason: error.message });
    const { length, name } = this.#source;
    if (this.#bad.size < Math.min(3, length) || this.#bad.size <= length * 0.05) return;
    const reasons = this.unreadable.map(({ reason }) => `\n  ${reason}`).sort();
    throw new Error(
      `Expected at most 5 % unreadable files in ${name}, received ${this.#bad.size} of ${length}. ` +
        `Remove or repair them:${reasons.slice(0, 10).join("")}`,
      { cause: error },
    );
  }

  /** Tells the source what this process wants after these samples, so that remote shards are there in time. */
  #announce(indices: readonly number[]): void {
    const { lookAhead = 0, expect } = this.#source;
    const { batchSize } = this.#options;
    const ahead = Math.ceil(lookAhead / batchSize) * batchSize; // the same places of a later batch
    if (!expect || ahead >= this.#source.length) return;
    for (const index of indices) this.#source.expect?.(this.#shuffledPlace(index + ahead));
  }

  #shuffledPlace(index: number): number {
    const { length } = this.#source;
    const epoch = Math.floor(index / length);
    let order = this.#orders.get(epoch);
    if (!order) {
      if (this.#orders.size >= 3) this.#orders.delete(Math.min(...this.#orders.keys()));
      order = this.#orderOf(epoch);
      this.#orders.set(epoch, order);
    }
    return order[index % length]!;
  }

  #orderOf(epoch: number): Uint32Array {
    const { seed, batchSize, shuffleBuffer } = this.#options;
    if (this.#source.order) return this.#source.order({ seed, epoch, batchSize, shuffleBuffer });
    return shuffled(this.#source.length, randomStream(seed, purpose.shuffle, epoch));
  }
}

interface Sample {
  index: number;
  file: string;
  label: number;
  clip: Clip;
}

function collate(samples: readonly Sample[]): Omit<Batch, "epoch" | "position"> {
  return {
    ...batchOf(samples.map(({ clip }) => clip)),
    indices: samples.map(({ index }) => index),
    files: samples.map(({ file }) => file),
    labels: samples.map(({ label }) => label),
  };
}
