// Reads a source ahead of its consumer and hands over batches. Everything drawn at random is keyed by
// (seed, epoch, global sample index), so the whole state is one number, `sample`, and neither prefetching
// nor the number of processes can change what is seen. Bytes only: pixels are batch.ts.
import type { Clip, Size } from "../media/clip.js";
import { MediaError } from "../media/error.js";
import { batchOf } from "./batch.js";
import { BatchStream, requireMostReadable, type Taken } from "./batch-stream.js";
import { type Bucket, bucketAt } from "./buckets.js";
import { ClipCache } from "./clip-cache.js";
import { type LoaderOptions, withDefaults } from "./loader-options.js";
import { randomStream, shuffled } from "./random.js";
import type { Source } from "./source.js";
import { defaultRanges, evaluationCrop, trainingCrop } from "./transform.js";
import { Turns } from "./turns.js";

const purpose = { shuffle: 1, crop: 2, window: 3 }; // keeps the kinds of random choice apart

export type { LoaderOptions };

export class Loader extends BatchStream {
  readonly #source: Source;
  readonly #options: ReturnType<typeof withDefaults>;
  readonly #cache: ClipCache;
  readonly #bad = new Set<number>();
  readonly #pending: Promise<Taken>[] = [];
  readonly #turns: Turns;
  #fetched: number;
  readonly #orders = new Map<number, Uint32Array>();

  constructor(source: Source, options: LoaderOptions) {
    const filled = withDefaults(options);
    super(filled.startSample);
    this.#source = source;
    this.#options = filled;
    this.#turns = new Turns(filled.concurrency);
    this.#cache = new ClipCache(options.augment ? filled.cacheMiB : 0);
    this.#fetched = filled.startSample;
  }

  async take(): Promise<Taken | undefined> {
    this.#fill();
    const head = this.#pending.shift();
    this.#fill();
    return head;
  }

  override close(): void {
    super.close();
    this.#pending.length = 0;
    this.#cache.clear();
  }

  /** Starts batches until `prefetch` of them are under way. */
  #fill(): void {
    const { prefetch, augment, dropLast, endSample = this.#source.length } = this.#options;
    while (!this.isClosed && this.#pending.length < prefetch) {
      const start = this.#fetched;
      const { batchSize } = this.#bucketAt(start);
      const end = augment ? start + batchSize : Math.min(start + batchSize, endSample);
      if (end <= start || (dropLast && end - start < batchSize)) return;
      this.#fetched = end;
      const taken = this.#readBatch(start, end);
      taken.catch(() => undefined); // reported when the consumer gets there
      this.#pending.push(taken);
    }
  }

  async #readBatch(start: number, end: number): Promise<Taken> {
    const indices = this.#shareOf(start, end);
    if (this.#options.augment) this.#announce(indices);
    const size = this.#bucketAt(start);
    const read = await Promise.all(
      indices.map((index) => this.#turns.run(() => this.#read(index, size))),
    );
    const samples = read.filter((sample) => sample !== undefined);
    const { length } = this.#source;
    const place = { epoch: Math.floor(start / length), position: start % length };
    return { end, batch: samples.length > 0 ? { ...collate(samples), ...place } : undefined };
  }

  /** What of a batch this process reads, and this thread of it: of shards a run, else what it may hold in its cache. */
  #shareOf(start: number, end: number): number[] {
    const { rank, worldSize, thread } = this.#options;
    const isDealt = this.#source.order !== undefined;
    const [part, parts] = isDealt
      ? [rank * thread.count + thread.index, worldSize * thread.count]
      : [rank, worldSize];
    const share = (at: number): number => start + Math.floor(((end - start) * at) / parts);
    const indices: number[] = [];
    for (let index = share(part); index < share(part + 1); index++)
      if (isDealt || this.#placeOf(index) % thread.count === thread.index) indices.push(index);
    return indices;
  }

  /** Shape and number of samples of the batch that begins at `start`. */
  #bucketAt(start: number): Bucket {
    const { buckets, seed, size, batchSize } = this.#options;
    if (buckets.length > 0) return bucketAt(buckets, seed, start);
    return { height: size, width: size, batchSize };
  }

  async #read(index: number, size: Size): Promise<Sample | undefined> {
    if (this.isClosed) return undefined;
    const { augment, filter, seed, ranges } = this.#options;
    const epoch = Math.floor(index / this.#source.length);
    const load = (at: number) => this.#load(at, { index, size });
    const place = this.#placeOf(index);
    const found = await this.#firstReadable(place, augment ? this.#source.length : 1, load);
    if (!found) return undefined;
    const random = randomStream(seed, purpose.crop, epoch, index);
    const clip = augment
      ? trainingCrop(found.clip, size, random, { ...defaultRanges, ...ranges })
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
    for (let attempt = 0; attempt < attempts && !this.isClosed; attempt++) {
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
    requireMostReadable(this.unreadable, this.#source, error);
  }

  /** Tells the source what this process wants after these samples, so that remote shards are there in time. */
  #announce(indices: readonly number[]): void {
    const { lookAhead = 0, expect } = this.#source;
    const { batchSize } = this.#options;
    const ahead = Math.ceil(lookAhead / batchSize) * batchSize; // the same places of a later batch
    if (!expect || ahead >= this.#source.length) return;
    for (const index of indices) this.#source.expect?.(this.#placeOf(index + ahead));
  }

  /** Place in the set of a global sample index. */
  #placeOf(index: number): number {
    const { length } = this.#source;
    if (!this.#options.augment) return index;
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

function collate(samples: readonly Sample[]) {
  return {
    ...batchOf(samples.map(({ clip }) => clip)),
    indices: samples.map(({ index }) => index),
    files: samples.map(({ file }) => file),
    labels: samples.map(({ label }) => label),
  };
}
