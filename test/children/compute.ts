// A worker thread of test/worker.test.ts: computes with an engine of its own and reports to whom started it.
import { parentPort, workerData } from "node:worker_threads";
import {
  autocast,
  Generator,
  liveTensors,
  noGrad,
  ones,
  randn,
  scope,
} from "../../src/torch/index.js";

const { task, seed } = workerData as { task: "compute" | "leave" | "spin"; seed: number };
const post = (message: unknown) => parentPort!.postMessage(message);

/** Sum of the squares of a product of random matrices: enough work to overlap with the other worker's. */
function compute(): number {
  const generator = new Generator(seed);
  return scope(() => {
    const x = randn([96, 96], { generator }).requiresGrad_();
    for (let i = 0; i < 50; i++) scope(() => x.matmul(x).square().mean().backward());
    return x.grad!.square().sum().item();
  });
}

if (task === "compute") post({ result: compute(), live: liveTensors() });
if (task === "leave") {
  // Ends with tensors, a graph and a generator alive, in the midst of modes: the engine's end must cope.
  const held = noGrad(() => Array.from({ length: 100 }, () => ones([1000])));
  const graph = ones([10]).requiresGrad_().exp().sum();
  autocast({ device: "cpu", dtype: "bfloat16" }, () =>
    post({ result: held.length + graph.numel, live: liveTensors() }),
  );
}
if (task === "spin") {
  post({ result: 0, live: liveTensors() });
  const end = performance.now() + 60_000; // not for ever, should nobody end it
  while (performance.now() < end)
    scope(() =>
      ones([8])
        .add(1)
        .chunk(4)
        .map((part) => part.view([2, 1])),
    );
}
