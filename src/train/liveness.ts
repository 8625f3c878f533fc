// Ends a run whose processes have lost one of them. The main thread may be waiting inside a collective for it, on a GPU for ever:
// so a worker thread keeps a connection to rank 0's, and one that closes without a word means that its process is gone.
import { setTimeout as delay } from "node:timers/promises";
import { Worker } from "node:worker_threads";

/** What the worker thread is told. */
export interface LivenessData {
  readonly rank: number;
  readonly size: number;
  readonly host: string;
  /** Where rank 0 listens; 0 in rank 0 itself, which chooses. */
  readonly port: number;
  readonly resumeCommand: string;
  /** The process that started this one; 0 for none. It started all of them, and tells the user itself: `isTold`. */
  readonly launcher: number;
  readonly isTold: boolean;
}

export interface Liveness {
  /** Tells the others, so that they do not take it for a loss: the run is done, or this process failed. */
  close(isDone: boolean): Promise<void>;
}

interface WatchOptions extends Pick<LivenessData, "rank" | "size" | "host" | "resumeCommand"> {
  /** Gives every process rank 0's number. */
  readonly share: (value: number) => number;
}

/** The launcher's process id, for those it started. */
export const launcherVariable = "VITOK_LAUNCHER";

export async function watchLiveness({ share, ...options }: WatchOptions): Promise<Liveness> {
  const { LOCAL_WORLD_SIZE, [launcherVariable]: launcher = "0" } = process.env;
  const isTold = launcher !== "0" && Number(LOCAL_WORLD_SIZE) === options.size;
  const data = { ...options, launcher: Number(launcher), isTold };
  if (options.rank > 0) return start({ ...data, port: share(0) });
  const watch = start({ ...data, port: 0 });
  share(await watch.port);
  return watch;
}

function start(data: LivenessData): Liveness & { port: Promise<number> } {
  // Run from the sources, by a test, the compiled twin serves: a worker thread of Node 20 reads no TypeScript.
  const isCompiled = import.meta.url.endsWith(".js");
  const name = isCompiled ? "./liveness-worker.js" : "../../dist/train/liveness-worker.js";
  const file = new URL(name, import.meta.url);
  const worker = new Worker(file, { workerData: data });
  worker.unref();
  return {
    port: new Promise((resolve, reject) => worker.once("message", resolve).once("error", reject)),
    close: async (isDone) => {
      const said = new Promise((resolve) => worker.once("message", resolve));
      worker.postMessage(isDone ? "done" : "failed");
      await Promise.race([said, delay(2000)]);
      await worker.terminate();
    },
  };
}
