// The loader in worker threads. The main thread is busy with steps and could look after decoding only between them; here every
// thread reads its part of each batch with a loader of its own (loader-worker.ts), and what comes together is the same batch.
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { getNumThreads } from "../torch/index.js";
import { joinBatches } from "./batch.js";
import { BatchStream, requireMostReadable, type Taken, type Unreadable } from "./batch-stream.js";
import { Loader, type LoaderOptions } from "./loader.js";
import type { Source, SourceOrigin } from "./source.js";

export interface LoaderWorkerData {
  readonly origin: SourceOrigin;
  readonly options: LoaderOptions;
}

/** A thread's part of a batch (undefined after the last one), with what it could not read, or why it stopped. */
export type FromLoaderWorker =
  | { readonly taken: Taken | undefined; readonly unreadable: readonly Unreadable[] }
  | { readonly failure: string };

/** Reads in `workers` threads, each at least two files at a time, or in this one where there are none or the source cannot be opened twice. */
export function createLoader(
  source: Source,
  { workers = 0, ...options }: LoaderOptions & { workers?: number },
): BatchStream {
  const { origin } = source;
  if (workers < 1 || !origin) return new Loader(source, options);
  return new ThreadedLoader(source, { workers, origin, ...options });
}

/** A quarter of a process's cores, at most 8, beside a GPU; none on a CPU, whose cores have work. */
export function defaultWorkers(device: string, processes = 1): number {
  if (!device.startsWith("cuda")) return 0;
  const wanted = Math.min(8, Math.max(1, availableParallelism() / (4 * processes)));
  return 2 ** Math.floor(Math.log2(wanted)); // of 16 lanes of shards each thread has as many
}

class ThreadedLoader extends BatchStream {
  readonly #threads: LoaderThread[];
  readonly #known = new Set<string>();

  constructor(
    private readonly source: Source,
    { workers, origin, ...options }: LoaderOptions & { workers: number; origin: SourceOrigin },
  ) {
    super(options.startSample ?? 0);
    const { prefetch = 2, concurrency = 4, cacheMiB = 512 } = options;
    getNumThreads(); // fixes this thread's share of the cores before the others ask for one each
    this.#threads = Array.from({ length: workers }, (_, index) => {
      const thread = { index, count: workers };
      const parts = {
        cacheMiB: cacheMiB / workers,
        concurrency: Math.max(2, Math.ceil(concurrency / workers)),
      };
      const own = { ...options, ...parts, prefetch: 2, thread };
      return new LoaderThread({ origin, options: own }, prefetch);
    });
  }

  async take(): Promise<Taken | undefined> {
    const answers = await Promise.all(this.#threads.map((thread) => thread.next()));
    for (const { unreadable } of answers) this.#record(unreadable);
    const parts = answers.map(({ taken }) => taken);
    if (parts[0] === undefined) return undefined;
    const batches = parts.flatMap((part) => part?.batch ?? []);
    return { end: parts[0].end, batch: batches.length > 0 ? joinBatches(batches) : undefined };
  }

  /** Ends the threads once they have finished the pictures in their hands. */
  override close(): void {
    super.close();
    for (const thread of this.#threads) thread.close();
  }

  #record(files: readonly Unreadable[]): void {
    for (const each of files) {
      if (this.#known.has(each.file)) continue; // two threads came to it
      this.#known.add(each.file);
      this.unreadable.push(each);
      requireMostReadable(this.unreadable, this.source);
    }
  }
}

type Answer = Exclude<FromLoaderWorker, { failure: string }>;

/** One thread and what it was asked for. */
class LoaderThread {
  readonly #worker: Worker;
  readonly #asked: Promise<Answer>[] = [];
  readonly #waiting: { resolve(answer: Answer): void; reject(error: Error): void }[] = [];
  #failure: Error | undefined;

  /** Starts at once; `ahead` parts are under way or ready at any time. */
  constructor(data: LoaderWorkerData, ahead: number) {
    this.#worker = startWorker(data);
    this.#worker.unref(); // a thread alone keeps no program alive
    this.#worker.on("message", (message: FromLoaderWorker) => {
      if ("failure" in message) this.#fail(new Error(message.failure));
      else this.#waiting.shift()?.resolve(message);
    });
    this.#worker.on("error", (error) => this.#fail(error));
    this.#worker.on("exit", () => this.#fail(new Error("A thread that read data has ended.")));
    for (let i = 0; i < ahead; i++) this.#ask();
  }

  async next(): Promise<Answer> {
    this.#worker.ref();
    try {
      return await this.#asked.shift()!;
    } finally {
      this.#worker.unref();
      this.#ask();
    }
  }

  close(): void {
    this.#worker.postMessage("close");
  }

  #ask(): void {
    const answer = this.#failure
      ? Promise.reject(this.#failure)
      : new Promise<Answer>((resolve, reject) => this.#waiting.push({ resolve, reject }));
    answer.catch(() => undefined); // reported when the consumer gets there
    this.#asked.push(answer);
    this.#worker.postMessage("next");
  }

  #fail(error: Error): void {
    this.#failure ??= error;
    for (const { reject } of this.#waiting.splice(0)) reject(this.#failure);
  }
}

function startWorker(data: LoaderWorkerData): Worker {
  // Run from the sources, by a test, the compiled twin serves: a worker thread of Node 20 reads no TypeScript.
  const isCompiled = import.meta.url.endsWith(".js");
  const name = isCompiled ? "./loader-worker.js" : "../../dist/data/loader-worker.js";
  return new Worker(new URL(name, import.meta.url), { workerData: data });
}
