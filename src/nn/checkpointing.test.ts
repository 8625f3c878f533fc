// Activation checkpointing against the plain backward pass of the same layers: gradients equal within 1e-6 (float32),
// and less memory held between the passes.

import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import {
  Generator,
  memory,
  noGrad,
  ones,
  randn,
  resetPeakMemory,
  scope,
  type Tensor,
} from "../torch/index.js";
import { Block, runBlocks } from "./block.js";
import { Checkpointing } from "./checkpointing.js";
import { parameters } from "./parameters.js";
import { RopeTables } from "./rope.js";

const [width, heads, hidden] = [32, 4, 64];
const rope = new RopeTables(width / heads).at({ t: 1, h: 4, w: 4 }, 0, "cpu");
const generator = new Generator(5);
const blocks = Array.from({ length: 3 }, () => new Block(width, heads, hidden));
noGrad(() => {
  for (const [, tensor] of parameters(blocks))
    scope(() => tensor.copy_(randn(tensor.shape, { generator }).mul(0.2)));
});
const pixels = randn([2, 16, width], { generator });
const stem = ones([width]).requiresGrad_();

/** The gradients of everything, after a head and a tail outside the blocks. */
function gradients(checkpointing?: Checkpointing): Record<string, Tensor> {
  const all = { blocks, stem };
  for (const [, tensor] of parameters(all)) tensor.grad = null;
  const x = runBlocks(blocks, pixels.mul(stem), rope, checkpointing);
  const loss = x.square().mean();
  if (checkpointing) checkpointing.backward(loss);
  else loss.backward();
  return Object.fromEntries([...parameters(all)].map(([name, tensor]) => [name, tensor.grad!]));
}

describe("checkpointing", () => {
  test("gives the plain pass's gradients, also before the first segment, and again after", () => {
    const plain = gradients();
    expect(Object.keys(plain)).toHaveLength(3 * 12 + 1);
    const checkpointing = new Checkpointing();
    for (let round = 0; round < 2; round++)
      for (const [name, gradient] of Object.entries(gradients(checkpointing)))
        expectClose(gradient, plain[name]!, { atol: 1e-6, name });
  });

  test("runs the second pass in the caller's wrapper", () => {
    let calls = 0;
    gradients(
      new Checkpointing((fn) => {
        calls++;
        return fn();
      }),
    );
    expect(calls).toBe(3);
  });

  test("passes over segments that the loss does not depend on", () => {
    const checkpointing = new Checkpointing();
    const weight = ones([2]).requiresGrad_();
    checkpointing.run((x) => x.mul(weight), ones([2]));
    const used = checkpointing.run((x) => x.mul(weight), ones([2]).mul(3));
    checkpointing.backward(used.sum());
    expect([...weight.grad!.toArray()]).toEqual([3, 3]);
  });

  test("holds only the blocks' inputs between the passes", () => {
    const held = (checkpointing?: Checkpointing) => {
      const before = memory().allocatedBytes;
      const x = scope(() => runBlocks(blocks, pixels, rope, checkpointing));
      const bytes = memory().allocatedBytes - before;
      x.dispose();
      return bytes;
    };
    expect(held(new Checkpointing())).toBeLessThan(held() / 5);
  });

  test("takes less memory at its peak, inside of the scope that a step is", () => {
    const large = randn([64, 16, width], { generator });
    const peak = (checkpointing?: Checkpointing) => {
      for (const [, tensor] of parameters(blocks)) tensor.grad = null;
      const before = memory().allocatedBytes;
      resetPeakMemory();
      scope(() => {
        const loss = runBlocks(blocks, large.mul(stem), rope, checkpointing).square().mean();
        if (checkpointing) checkpointing.backward(loss);
        else loss.backward();
      });
      return memory().peakBytes - before;
    };
    expect(peak(new Checkpointing())).toBeLessThan(0.7 * peak());
  });
});
