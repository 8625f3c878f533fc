// The thread that computes: it holds the models and answers one batch at a time, so that the main thread is always free to
// talk to clients.
import { parentPort, workerData } from "node:worker_threads";
import { bytesOf, pixelsOf } from "../data/batch.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { noGrad, scope, Tensor } from "../torch/index.js";
import type { Answer, FromWorker, Task, ToWorker, WorkerOptions } from "./task.js";

const { models, device, precision } = workerData as WorkerOptions;
const tokenizers = new Map<string, Tokenizer>();
for (const { name, folder } of models)
  tokenizers.set(name, await Tokenizer.load(folder, { device, dtype: precision }));

const post = (message: FromWorker, transfer: ArrayBuffer[] = []) =>
  parentPort!.postMessage(message, transfer);

parentPort!.on("message", ({ id, task }: ToWorker) => {
  try {
    const answer = scope(() => noGrad(() => compute(tokenizers.get(task.model)!, task)));
    post({ id, answer }, [answer.data.buffer as ArrayBuffer]);
  } catch (error) {
    post({ id, failure: (error as Error).message });
  }
});
post({ ready: Object.fromEntries([...tokenizers].map(([name, { config }]) => [name, config])) });

function compute(tokenizer: Tokenizer, task: Task): Answer {
  const { keep } = task;
  if (task.kind === "decode") {
    const { channels } = tokenizer.config;
    const [batch, each] = [task.latents.length, latentTokensOf(tokenizer, task.grid) * channels];
    const latent = Tensor.from(task.latents, [batch / each, each / channels, channels], { device });
    const recon = tokenizer.decode(latent, task.grid, { keep, size: task.size });
    return { data: bytesOf(recon), grid: task.grid };
  }
  const { mean, grid, size } = tokenizer.encode(pixelsOf(task, { device }));
  if (task.kind === "encode") return { data: mean.toArray() as Float32Array, grid };
  return { data: bytesOf(tokenizer.decode(mean, grid, { keep, size })), grid };
}

function latentTokensOf({ config }: Tokenizer, { t, h, w }: Answer["grid"]): number {
  return config.latentTokens || t * h * w;
}
