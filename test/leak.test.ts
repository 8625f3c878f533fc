// Nothing grows: training-like steps of a tiny tokenizer leave tensors and bytes constant from step to step (exact), and
// the process's native memory flat within 5 % after warm-up. VITOK_LONG=1 runs 2,000 steps instead of 300.

import { afterAll, expect, test } from "vitest";
import { AdamW } from "../src/nn/adamw.js";
import { Checkpointing } from "../src/nn/checkpointing.js";
import { clipGradNorm } from "../src/nn/clip.js";
import { parameters } from "../src/nn/parameters.js";
import { defineConfig } from "../src/tokenizer/config.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import {
  autocast,
  Generator,
  liveTensors,
  memory,
  rand,
  randn,
  scope,
} from "../src/torch/index.js";

const steps = process.env.VITOK_LONG ? 2000 : 300;
const tower = { width: 48, depth: 2, heads: 4 };
const config = defineConfig({
  ...{ encoder: tower, decoder: tower, patchSize: 8, tubeletSize: 2 },
  ...{ channels: 8, latentTokens: 4, maskable: true },
});
const tokenizer = Tokenizer.create(config);
const generator = new Generator(1);
const optimizer = new AdamW(parameters(tokenizer));
const weights = [...parameters(tokenizer)].map(([, tensor]) => tensor);
afterAll(() => {
  optimizer.dispose();
  tokenizer.dispose();
});

/** Forward, backward, clip, update; every third step checkpointed, every second in bfloat16. */
function step(index: number): number {
  return scope(() => {
    const checkpointing = index % 3 === 0 ? new Checkpointing(cast) : undefined;
    function cast<T>(fn: () => T): T {
      return index % 2 === 0 ? autocast({ device: "cpu", dtype: "bfloat16" }, fn) : fn();
    }
    const pixels = rand([2, 3, 4, 16, 16], { generator }).mul(2).sub(1);
    const loss = cast(() => {
      const posterior = tokenizer.encode(pixels, { checkpointing });
      const latent = posterior.sample(randn(posterior.mean.shape, { generator }));
      const recon = tokenizer.decode(latent, posterior.grid, { keep: [1, 4], checkpointing });
      return recon.sub(pixels).square().mean().add(posterior.kl().mul(1e-3));
    });
    if (checkpointing) checkpointing.backward(loss);
    else loss.backward();
    clipGradNorm(weights, 1);
    optimizer.step(1e-3);
    optimizer.zeroGrad();
    return loss.item();
  });
}

/** The process's memory without the heap that JavaScript's collector grows and shrinks as it likes. */
function nativeBytes(): number {
  const { rss, heapTotal } = process.memoryUsage();
  return rss - heapTotal;
}

test(`${steps} training steps leave nothing behind`, { timeout: 600_000 }, async () => {
  const native: number[] = [];
  let settled = { live: 0, bytes: 0 };
  const losses: number[] = [];
  for (let index = 0; index < steps; index++) {
    losses.push(step(index));
    await new Promise(setImmediate); // as the training loop does: finalisers run here
    const now = { live: liveTensors(), bytes: memory().allocatedBytes };
    if (index === 6) settled = now; // every kind of step was made once
    if (index > 6) expect(now, `after step ${index}`).toEqual(settled);
    native.push(nativeBytes());
  }
  expect(losses.at(-1)).toBeLessThan(losses[0]!);
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  const [early, late] = [mean(native.slice(100, 120)), mean(native.slice(-20))];
  expect(late / early).toBeLessThan(1.05);
});

test("the peak of memory is that of one step", () => {
  const before = memory().allocatedBytes;
  step(1);
  const { allocatedBytes, peakBytes } = memory();
  expect(allocatedBytes).toBe(before);
  expect(peakBytes - allocatedBytes).toBeLessThan(64 * 2 ** 20);
});
