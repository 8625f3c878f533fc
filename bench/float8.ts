// What 8-bit products cost a trained tokenizer in quality: its scores on a set in float32, bfloat16 and float8, on a CPU, where the
// products are made of the same 8-bit numbers as on a GPU and summed in float32. With a GPU: vitok evaluate --precision float8.
// npx tsx bench/float8.ts MODEL SOURCE [--count 24] [--size 256]
import { parseArgs } from "node:util";
import { loadModel } from "../src/cli/model.js";
import { openSource } from "../src/data/source.js";
import { evaluateReconstruction } from "../src/evaluate/reconstruction.js";
import { quantiseBlocks } from "../src/nn/float8.js";

const text = (value: string) => ({ type: "string", default: value }) as const;
const { values, positionals } = parseArgs({
  options: { count: text("24"), size: text("256") },
  allowPositionals: true,
});
const [target = "runs/demo", data = "drawn:val"] = positionals;
const [count, size] = [Number(values.count), Number(values.size)];

console.log("precision  PSNR, dB  SSIM");
for (const precision of ["float32", "bfloat16", "float8"] as const) {
  const isFloat8 = precision === "float8";
  const placement = { device: "cpu", precision: isFloat8 ? "bfloat16" : precision } as const;
  const { tokenizer } = await loadModel(target, placement);
  if (isFloat8)
    for (const { blocks } of [tokenizer.encoder, tokenizer.decoder]) quantiseBlocks(blocks);
  const source = await openSource(data);
  const scores = await evaluateReconstruction(tokenizer, source, {
    ...{ size, count, batchSize: 4, metrics: ["psnr", "ssim"] },
  });
  const { PSNR = Number.NaN, SSIM = Number.NaN } = scores.metrics;
  console.log(`${precision.padEnd(9)}  ${PSNR.toFixed(3).padStart(8)}  ${SSIM.toFixed(4)}`);
  tokenizer.dispose();
}
