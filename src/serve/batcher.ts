// Samples that can be computed together are: while one batch is computed the next gathers, and a sample alone waits a few
// milliseconds for company. One batch at a time, the oldest sample's first.
import { HttpError } from "./http-error.js";

export interface BatcherOptions<Job, Result> {
  /** Computes jobs of one key: a result for each, in their order. */
  readonly run: (key: string, jobs: readonly Job[]) => Promise<readonly Result[]>;
  /** Samples at once, by key. */
  readonly sizeOf: (key: string) => number;
  readonly waitMs: number;
  /** Milliseconds a job may take, waiting and computing. */
  readonly limitMs: number;
}

interface Waiting<Job, Result> {
  readonly job: Job;
  readonly since: number;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
  isOver: boolean;
}

export class Batcher<Job, Result> {
  readonly #queues = new Map<string, Waiting<Job, Result>[]>();
  #isBusy = false;
  #timer: NodeJS.Timeout | undefined;

  constructor(private readonly options: BatcherOptions<Job, Result>) {}

  /** Jobs that wait for their batch. */
  get waiting(): number {
    return [...this.#queues.values()].reduce((sum, queue) => sum + queue.length, 0);
  }

  /** Resolves to the job's result; a job whose sender has gone is dropped while it waits. */
  submit(key: string, job: Job, signal?: AbortSignal): Promise<Result> {
    return new Promise((resolve, reject) => {
      const { limitMs } = this.options;
      const settled = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", leave);
      };
      const entry: Waiting<Job, Result> = {
        ...{ job, since: performance.now(), isOver: false },
        resolve: (result) => {
          settled();
          resolve(result);
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      };
      const give = (error: HttpError) => {
        entry.isOver = true;
        entry.reject(error);
      };
      const leave = () => give(new HttpError(400, "Expected the sender to wait, but it has gone."));
      const late = `Expected a result within ${limitMs} ms, but there is none yet. Try again later.`;
      const timer = setTimeout(
        () => give(new HttpError(503, late, { "retry-after": "5" })),
        limitMs,
      );
      signal?.addEventListener("abort", leave, { once: true });
      const queue = this.#queues.get(key);
      if (queue) queue.push(entry);
      else this.#queues.set(key, [entry]);
      this.#next();
    });
  }

  #next(): void {
    clearTimeout(this.#timer);
    if (this.#isBusy) return;
    for (const [key, queue] of this.#queues) {
      const alive = queue.filter(({ isOver }) => !isOver);
      if (alive.length) this.#queues.set(key, alive);
      else this.#queues.delete(key);
    }
    const queues = [...this.#queues].sort(([, a], [, b]) => a[0]!.since - b[0]!.since);
    const full = queues.find(([key, queue]) => queue.length >= this.options.sizeOf(key));
    const oldest = queues[0];
    if (!oldest) return;
    const left = this.options.waitMs - (performance.now() - oldest[1][0]!.since);
    if (left <= 0) void this.#run(...oldest);
    else if (full) void this.#run(...full);
    else this.#timer = setTimeout(() => this.#next(), left);
  }

  async #run(key: string, queue: Waiting<Job, Result>[]): Promise<void> {
    const batch = queue.splice(0, this.options.sizeOf(key));
    this.#isBusy = true;
    try {
      const results = await this.options.run(
        key,
        batch.map(({ job }) => job),
      );
      batch.forEach(({ resolve }, i) => void resolve(results[i]!));
    } catch (error) {
      for (const { reject } of batch) reject(error);
    }
    this.#isBusy = false;
    this.#next();
  }
}
