// The thread that computes: it holds the models and answers one batch at a time, so that the main thread is always free to
// talk to clients. What it computes is compute.ts.
import { parentPort, workerData } from "node:worker_threads";
import { compute, factsOf, type LoadedModel, loadServed } from "./compute.js";
import type { FromWorker, ToWorker, WorkerOptions } from "./task.js";

const { models, device, precision } = workerData as WorkerOptions;
const loaded = new Map<string, LoadedModel>();
for (const { name, folder } of models)
  loaded.set(name, await loadServed(folder, { device, dtype: precision }));

const post = (message: FromWorker, transfer: ArrayBuffer[] = []) =>
  parentPort!.postMessage(message, transfer);

parentPort!.on("message", async ({ id, task }: ToWorker) => {
  try {
    const answer = await compute(loaded.get(task.model)!, task);
    post({ id, answer }, [answer.data.buffer as ArrayBuffer]);
  } catch (error) {
    post({ id, failure: (error as Error).message });
  }
});
post({ ready: Object.fromEntries([...loaded].map(([name, model]) => [name, factsOf(model)])) });
