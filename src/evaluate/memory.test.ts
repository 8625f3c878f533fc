// Nothing grows with a set: over many batches through every metric the live tensors are as many, the bytes in tensors
// exact, and the process no larger within 5 %, after a first part in which buffers reach their size.

import { expect, test } from "vitest";
import { stubInception } from "../../test/stub-networks.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { liveTensors, memory } from "../torch/index.js";
import { planOf } from "./plan.js";
import { ReconstructionPass } from "./reconstruction-pass.js";

test("memory stays flat over 3,000 pictures", () => {
  const tokenizer = Tokenizer.create("Tiw48d1-Tiw48d1/1x8x4", { seed: 1 });
  const plan = planOf({ metrics: ["psnr", "ssim", "fid", "is"], fidTap: "64" });
  const networks = { image: stubInception, video: undefined, lpips: undefined, dispose() {} };
  const facts = { count: 3000, keep: undefined, sampleSeed: undefined, hasRealMoments: false };
  const pass = new ReconstructionPass(tokenizer, { plan, networks }, facts);
  const size = 16;
  const bytes = Uint8Array.from({ length: 20 * size * size * 3 }, (_, i) => (i * 37) % 256);
  const seen: { live: number; tensorBytes: number; resident: number }[] = [];
  for (let first = 0; first < 3000; first += 20) {
    const indices = Array.from({ length: 20 }, (_, i) => first + i);
    const named = { indices, files: indices.map(String), labels: indices.map(() => 0) };
    pass.update({ bytes, shape: [20, 1, size, size, 3], ...named, epoch: 0, position: first });
    const { allocatedBytes: tensorBytes } = memory("cpu");
    seen.push({ live: liveTensors(), tensorBytes, resident: process.memoryUsage.rss() });
  }
  const later = seen.slice(seen.length / 3);
  expect(new Set(later.map(({ live }) => live)).size).toBe(1);
  expect(new Set(later.map(({ tensorBytes }) => tensorBytes)).size).toBe(1);
  expect(later.at(-1)!.resident / later[0]!.resident).toBeLessThan(1.05);
  pass.fake.finish();
  expect(pass.fake.is[0]!.compute().mean).toBeGreaterThanOrEqual(1);
  pass.dispose();
  tokenizer.dispose();
});
