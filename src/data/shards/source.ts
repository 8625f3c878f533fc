// Tar shards as a source: samples are numbered through the shards in their listed order. A shard's files are listed when
// it is first needed, or at once where nothing else tells how many samples there are. Where shards lie is list.ts.

import type { Clip } from "../../media/clip.js";
import { MediaError } from "../../media/error.js";
import type { Window } from "../../media/video-info.js";
import { ClipReader, type ClipRequest, isMoving } from "../clip-file.js";
import type { Source, SourceFile } from "../source.js";
import type { ShardList } from "./list.js";
import { laneLimit, type OrderRequest, shardOrder, startsOf } from "./order.js";
import { type Label, listSamples, readSampleFile, type ShardSample } from "./samples.js";

interface OpenShard {
  readonly path: string;
  readonly samples: readonly ShardSample[];
}

/** Shards opened at the same time, where all are needed. */
const concurrency = 4;
/** A full cache may remove a shard between its coming and its reading, and again. */
const attempts = 8;

/** Opens the shards of a list. @throws MediaError where one of them is no archive or cannot be had */
export async function openShards(list: ShardList, window?: Window): Promise<Source> {
  const shards = new Shards(list);
  if (!list.lengths || list.isLocal) await shards.openAll();
  return new ShardSource(shards, list, window);
}

/** The shards of a list, each opened once. */
class Shards {
  readonly #opening = new Map<number, Promise<OpenShard>>();
  readonly opened = new Map<number, OpenShard>();

  constructor(readonly list: ShardList) {}

  /** Brings the shard here and lists its samples, unless that was done. A failure is not remembered. */
  open(shard: number): Promise<OpenShard> {
    const known = this.#opening.get(shard);
    if (known) return known;
    const opening = this.#open(shard);
    this.#opening.set(shard, opening);
    opening.catch(() => this.#opening.delete(shard));
    return opening;
  }

  forget(shard: number): void {
    this.#opening.delete(shard);
  }

  async openAll(): Promise<void> {
    let next = 0;
    const work = async () => {
      while (next < this.list.files.length) await this.open(next++);
    };
    await Promise.all(Array.from({ length: concurrency }, work));
  }

  async #open(shard: number): Promise<OpenShard> {
    const path = await this.list.files[shard]!.fetch();
    const opened = { path, samples: listSamples(path) };
    this.opened.set(shard, opened);
    return opened;
  }
}

class ShardSource implements Source {
  readonly name: string;
  readonly length: number;
  readonly classes: readonly string[];
  /** Samples to look ahead by: about a shard of each lane. */
  readonly lookAhead: number;
  readonly #starts: readonly number[];
  readonly #lengths: readonly number[];
  readonly #labels: ReadonlyMap<Label, number>;
  readonly fps?: number;
  readonly #reader: ClipReader;

  constructor(
    private readonly shards: Shards,
    list: ShardList,
    window: Window | undefined,
  ) {
    if (isMoving(window)) this.fps = window.fps;
    this.#reader = new ClipReader(window);
    const { files } = list;
    this.name = list.name;
    this.#lengths = list.lengths ?? files.map((_, i) => shards.opened.get(i)!.samples.length);
    this.#starts = startsOf(this.#lengths);
    this.length = this.#starts.at(-1)!;
    this.classes = list.classes ?? classesOf([...shards.opened.values()]);
    this.#labels = new Map<Label, number>(
      this.classes.flatMap((name, i) => [[name, i] as const, [i, i] as const]),
    );
    this.lookAhead = Math.ceil((laneLimit * this.length) / files.length);
  }

  load(index: number, request?: ClipRequest): Promise<Clip> {
    return this.#use(index, async (path, { files, film }) => {
      const read = (file: number) => readSampleFile(path, files[file]!, this.id(index));
      if (film) return this.#reader.readFilm(film, read, { name: this.id(index), ...request });
      const { extension: suffix } = files[0]!;
      const name = `${this.id(index)}.${suffix}`;
      const extension = suffix.slice(suffix.lastIndexOf(".") + 1);
      return this.#reader.read({ bytes: await read(0), name, extension }, request);
    });
  }

  files(index: number): Promise<SourceFile[]> {
    return this.#use(index, (path, { files }) =>
      Promise.all(
        files.map(async (file) => ({
          bytes: await readSampleFile(path, file, this.id(index)),
          extension: file.extension,
        })),
      ),
    );
  }

  /** Gives `use` a sample and the shard it lies in. */
  async #use<T>(index: number, use: (path: string, sample: ShardSample) => Promise<T>): Promise<T> {
    const { shard, place } = this.#find(index);
    for (let attempt = 1; ; attempt++) {
      try {
        const { path, samples } = await this.shards.open(shard);
        const sample = samples[place];
        const problem = sample ? sample.problem : `is missing: its shard has ${samples.length}.`;
        if (!sample || problem) throw new MediaError(this.id(index), problem!);
        return await use(path, sample);
      } catch (error) {
        if (!isGone(error)) throw error;
        if (attempt === attempts)
          throw new MediaError(this.id(index), `is gone: ${(error as Error).message}`, {
            cause: error,
          });
        this.shards.forget(shard); // the cache made room: it is fetched again
      }
    }
  }

  id(index: number): string {
    const { shard, place } = this.#find(index);
    const key = this.shards.opened.get(shard)?.samples[place]?.key ?? `#${place}`;
    return `${this.shards.list.files[shard]!.name}/${key}`;
  }

  label(index: number): number | undefined {
    const { shard, place } = this.#find(index);
    const label = this.shards.opened.get(shard)?.samples[place]?.label;
    return label === undefined ? undefined : this.#labels.get(label);
  }

  order(request: OrderRequest): Uint32Array {
    return shardOrder(this.#lengths, request);
  }

  expect(index: number): void {
    this.shards.open(this.#find(index).shard).catch(() => undefined); // `load` tries again and tells
  }

  list(): Promise<void> {
    return this.shards.openAll();
  }

  #find(index: number): { shard: number; place: number } {
    let [low, high] = [0, this.#lengths.length - 1]; // the last shard that starts at or before `index`
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.#starts[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    return { shard: low, place: index - this.#starts[low]! };
  }
}

/** Between its coming and its listing (where it is the cause of an error), or its reading. */
const isGone = (error: unknown): boolean => {
  const { code, cause } = error as NodeJS.ErrnoException;
  return code === "ENOENT" || (cause as NodeJS.ErrnoException | undefined)?.code === "ENOENT";
};

/** Names in byte order; numbers 0 to the largest where there are no names; none where a readable sample has no label. */
function classesOf(shards: readonly OpenShard[]): string[] {
  const names = new Set<string>();
  let largest = -1;
  for (const { samples } of shards) {
    for (const { label, problem } of samples) {
      if (label === undefined && !problem) return [];
      if (typeof label === "string") names.add(label);
      else if (label !== undefined) largest = Math.max(largest, label);
    }
  }
  if (names.size === 0) return Array.from({ length: largest + 1 }, (_, i) => String(i));
  return largest >= 0
    ? []
    : [...names].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
}
