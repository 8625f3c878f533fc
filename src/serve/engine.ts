// The main thread's side of the worker: starts it, hands it batches, and starts another should it die.
import { Worker } from "node:worker_threads";
import { HttpError } from "./http-error.js";
import type { Answer, FromWorker, ModelFacts, Task, WorkerOptions } from "./task.js";

/** A worker inherits no TypeScript loader: where this file is TypeScript, the worker registers its own. */
const isSource = import.meta.url.endsWith(".ts");
const script = new URL(isSource ? "worker.ts" : "worker.js", import.meta.url);
const bootstrap = isSource
  ? `import("tsx/esm/api").then((tsx) => (tsx.register(), import(${JSON.stringify(script)})))`
  : `import(${JSON.stringify(script)})`;

interface Pending {
  readonly resolve: (answer: Answer) => void;
  readonly reject: (error: Error) => void;
}

export class Engine {
  /** By name. */
  models: Readonly<Record<string, ModelFacts>> = {};
  #worker: Worker | undefined;
  #pending = new Map<number, Pending>();
  #last = 0;
  #isClosing = false;

  private constructor(private readonly options: WorkerOptions) {}

  /** Resolves once every model is loaded. @throws what loading them threw */
  static async start(options: WorkerOptions): Promise<Engine> {
    const engine = new Engine(options);
    await engine.#start();
    return engine;
  }

  run(task: Task): Promise<Answer> {
    const id = ++this.#last;
    return new Promise((resolve, reject) => {
      if (!this.#worker) return reject(new HttpError(503, "The engine is starting again."));
      this.#pending.set(id, { resolve, reject });
      this.#worker.postMessage({ id, task });
    });
  }

  async close(): Promise<void> {
    this.#isClosing = true;
    await this.#worker?.terminate();
  }

  #start(): Promise<void> {
    const worker = new Worker(bootstrap, { eval: true, workerData: this.options });
    return new Promise((resolve, reject) => {
      worker.on("message", (message: FromWorker) => {
        if ("ready" in message) {
          this.models = message.ready;
          this.#worker = worker;
          resolve();
        } else this.#settle(message);
      });
      worker.on("error", reject);
      worker.on("exit", () => {
        reject(new Error("Expected the engine's thread to load the models, but it ended."));
        if (this.#worker === worker) this.#restart();
      });
    });
  }

  #settle(message: Exclude<FromWorker, { ready: unknown }>): void {
    const pending = this.#pending.get(message.id);
    this.#pending.delete(message.id);
    if ("answer" in message) pending?.resolve(message.answer);
    else pending?.reject(new HttpError(500, message.failure));
  }

  #restart(): void {
    this.#worker = undefined;
    for (const { reject } of this.#pending.values())
      reject(new HttpError(500, "The engine ended while it computed. It is starting again."));
    this.#pending.clear();
    if (!this.#isClosing)
      this.#start().catch(() => setTimeout(() => this.#restart(), 1000).unref());
  }
}
