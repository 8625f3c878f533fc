// What every reader of batches has: the next batch, where it stands, how long was waited for it, and which files could not be
// read. Where the batches come from is loader.ts, in this thread, or threaded-loader.ts, in others.
import type { Batch } from "./batch.js";

/** A file that cannot be read. */
export interface Unreadable {
  file: string;
  reason: string;
}

/** A batch, or none where no clip of it can be read, and the global sample index after it. */
export interface Taken {
  end: number;
  batch: Batch | undefined;
}

export abstract class BatchStream implements AsyncIterable<Batch> {
  /** Files that could not be read, each once. */
  readonly unreadable: Unreadable[] = [];
  /** How long consumers have waited for data, in total. */
  waitMs = 0;
  #sample: number;
  #told = 0;
  protected isClosed = false;

  constructor(startSample: number) {
    this.#sample = startSample;
  }

  /** The next part of the set, or undefined after the last one of an evaluation. */
  abstract take(): Promise<Taken | undefined>;

  /** Stops reading ahead and forgets what was read. */
  close(): void {
    this.isClosed = true;
  }

  /** Global sample index of the next batch: all there is to save for an exact resume. */
  get sample(): number {
    return this.#sample;
  }

  /** The next batch, or undefined after the last one of an evaluation and after `close`. */
  async next(): Promise<Batch | undefined> {
    for (;;) {
      const started = performance.now();
      const taken = await this.take();
      this.waitMs += performance.now() - started;
      if (!taken || this.isClosed) return undefined;
      this.#sample = taken.end;
      if (taken.batch) return taken.batch;
    }
  }

  /** Those of `unreadable` that came since this was called last. */
  newlyUnreadable(): Unreadable[] {
    const fresh = this.unreadable.slice(this.#told);
    this.#told = this.unreadable.length;
    return fresh;
  }

  /** Batches until the source ends; leaving the loop closes the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<Batch, void> {
    try {
      for (let batch = await this.next(); batch; batch = await this.next()) yield batch;
    } finally {
      this.close();
    }
  }
}

/**
 * A few damaged files are left out and listed; many mean that something is wrong with the set.
 * @throws Error at 3 files and more than 5 % of the set
 */
export function requireMostReadable(
  unreadable: readonly Unreadable[],
  { length, name }: { length: number; name: string },
  cause?: unknown,
): void {
  const count = unreadable.length;
  if (count < Math.min(3, length) || count <= length * 0.05) return;
  const reasons = unreadable.map(({ reason }) => `\n  ${reason}`).sort();
  throw new Error(
    `Expected at most 5 % unreadable files in ${name}, received ${count} of ${length}. ` +
      `Remove or repair them:${reasons.slice(0, 10).join("")}`,
    { cause },
  );
}
