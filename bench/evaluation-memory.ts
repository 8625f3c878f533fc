// Memory of an evaluation as pictures stream by, the real pass with a small model and Inception's stem: one line every so
// many pictures, with the least and the most that the process held after a batch since the line before. npx tsx bench/evaluation-memory.ts [--count 5000] [--every 500] [--size 32]
import { parseArgs } from "node:util";
import { drawnSource } from "../src/data/drawn-source.js";
import { evaluateReconstruction } from "../src/evaluate/reconstruction.js";
import { Inception2015 } from "../src/perceptual/inception-2015.js";
import { inceptionSteps } from "../src/perceptual/inception-layers.js";
import { expectedLayers } from "../src/perceptual/inception-weights.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { liveTensors, memory, randn, scope, type Tensor } from "../src/torch/index.js";

const text = (value: string) => ({ type: "string", default: value }) as const;
const { values } = parseArgs({
  options: { count: text("5000"), every: text("500"), size: text("32") },
});
const [count, every, size] = [values.count, values.every, values.size].map(Number) as [
  number,
  number,
  number,
];

/** Up to the tap of 64 channels, with random numbers. */
function stemWeights(): Record<string, Tensor> {
  const layers = [...expectedLayers(inceptionSteps({ lastPool: "max" }))].slice(0, 3);
  const tensors = layers.flatMap((layer) => {
    if (typeof layer === "string") return [];
    const [out = 0, ...rest] = layer.shape;
    const fanIn = rest.reduce((product, length) => product * length, 1);
    return [
      [`${layer.name}.weight`, randn(layer.shape).mul(Math.sqrt(2 / fanIn))],
      [`${layer.name}.bias`, randn([out]).mul(0.1)],
    ] as const;
  });
  return Object.fromEntries(tensors);
}

const tokenizer = Tokenizer.create("Tiw48d1-Tiw48d1/1x8x4", { seed: 0 });
const image = scope(() => new Inception2015(stemWeights()));
const mib = (bytes: number) => (bytes / 2 ** 20).toFixed(1).padStart(8);
const started = performance.now();
console.log("pictures  resident, least and most MiB  tensor MiB  live tensors  seconds");
let residents: number[] = [];
const scores = await evaluateReconstruction(tokenizer, drawnSource({ count, size, split: "val" }), {
  ...{ size, batchSize: 20, fidTap: "64", networks: { image } },
  metrics: ["psnr", "ssim", "fid", "kid"],
  onProgress(done) {
    residents.push(process.memoryUsage.rss());
    if (done % every !== 0 && done !== count) return;
    const { allocatedBytes } = memory("cpu");
    const seconds = ((performance.now() - started) / 1e3).toFixed(0);
    const ends = [Math.min(...residents), Math.max(...residents)].map(mib);
    residents = [];
    const row = [...ends, mib(allocatedBytes), String(liveTensors())];
    console.log(`${String(done).padStart(8)}  ${row.join("      ")}  ${seconds.padStart(8)}`);
  },
});
console.log(scores.metrics);
image.dispose();
tokenizer.dispose();
