// Cutting pixels into boxes and back: exact as a permutation, and against libtorch's own 3D convolutions (float32, 1e-5).

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { moveTo, parameters } from "../nn/parameters.js";
import {
  arange,
  conv3d,
  convTranspose3d,
  Generator,
  liveTensors,
  noGrad,
  rand,
  randn,
  scope,
} from "../torch/index.js";
import { Tokenizer } from "./tokenizer.js";
import { patchify, TubeletEmbed, TubeletUnembed, unpatchify } from "./tubelet.js";

const count = fc.integer({ min: 1, max: 3 });
const layout = fc.record({ b: count, t: count, h: count, w: count, q: count, p: count });
const [grid, size] = [
  { t: 2, h: 3, w: 2 },
  { q: 2, p: 4 },
];

describe("patchify", () => {
  test("is undone by unpatchify, whatever the sizes", () => {
    fc.assert(
      fc.property(layout, ({ b, t, h, w, q, p }) =>
        scope(() => {
          const shape = [b, 3, t * q, h * p, w * p];
          const pixels = arange(shape.reduce((a, b) => a * b)).reshape(shape);
          const boxes = patchify(pixels, { q, p });
          expect(boxes.shape).toEqual([b, t * h * w, 3 * q * p * p]);
          expect(unpatchify(boxes, { t, h, w }, { q, p }).toArray()).toEqual(pixels.toArray());
        }),
      ),
      { numRuns: 50 },
    );
  });

  test("puts tokens in the order time, row, column", () => {
    const clip = arange(3 * 2 * 4 * 6).reshape([1, 3, 2, 4, 6]);
    const firsts = patchify(clip, { q: 1, p: 2 }).select(2, 0).toArray();
    expect([...firsts]).toEqual([0, 2, 4, 12, 14, 16, 24, 26, 28, 36, 38, 40]);
  });
});

describe("the ends of the towers", () => {
  const generator = new Generator(3);
  const drawn = <T extends object>(layer: T): T => {
    noGrad(() => {
      for (const [, tensor] of parameters(layer)) tensor.copy_(randn(tensor.shape, { generator }));
    });
    return layer;
  };

  test("embed as a convolution whose stride is its kernel", () => {
    const embed = drawn(new TubeletEmbed(8, size));
    const pixels = randn([2, 3, 4, 12, 8], { generator });
    const convolved = conv3d(pixels, embed.weight, embed.bias, { stride: [2, 4, 4] });
    expectClose(embed.forward(pixels), convolved.flatten(2).transpose(1, 2), { atol: 2e-5 });
  });

  test("unembed as a transposed convolution whose stride is its kernel", () => {
    const unembed = drawn(new TubeletUnembed(8, size));
    const x = randn([2, 12, 8], { generator });
    const cells = x.transpose(1, 2).reshape([2, 8, grid.t, grid.h, grid.w]);
    const convolved = convTranspose3d(cells, unembed.weight, unembed.bias, { stride: [2, 4, 4] });
    expectClose(unembed.forward(x, grid), convolved, { atol: 2e-5 });
  });

  test("work in bfloat16", () => {
    const embed = drawn(new TubeletEmbed(8, size));
    moveTo(embed, { dtype: "bfloat16" });
    const pixels = randn([1, 3, 2, 4, 4], { generator, dtype: "bfloat16" });
    expect(embed.forward(pixels)).toMatchObject({ dtype: "bfloat16", shape: [1, 1, 8] });
  });
});

test("bytes are encoded as the pixels they stand for, in any order in memory", () => {
  const before = liveTensors();
  const tokenizer = Tokenizer.create("Tiw24d1h2-Tiw24d1h2/1x4x3", { seed: 3 });
  scope(() => {
    const bytes = rand([2, 3, 1, 7, 9], { generator: new Generator(1) })
      .mul(256)
      .to({ dtype: "uint8" });
    const pixels = bytes.to({ dtype: "float32" }).div(127.5).sub(1);
    const together = bytes.permute([0, 2, 3, 4, 1]).contiguous().permute([0, 4, 1, 2, 3]);
    const expected = tokenizer.encode(pixels).mean;
    for (const given of [bytes, together]) expectClose(tokenizer.encode(given).mean, expected);
  });
  tokenizer.dispose();
  expect(liveTensors()).toBe(before);
});
