// 8-bit floats on the CPU, where the twins run: each value against the nearest of all 254 numbers that e4m3 has, decoded here by
// its definition (exact); products against those of what the 8 bits stand for (rounding of the result to bfloat16: 4e-3 of the
// largest); a model against itself in bfloat16 (8 bits have 4 significant ones: 10 % of noise is allowed, and not nothing).
import { expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import {
  Generator,
  linear,
  liveTensors,
  noGrad,
  randn,
  scaledLinear,
  scope,
  type Tensor,
} from "../torch/index.js";
import { quantiseBlocks, requireFloat8 } from "./float8.js";
import { quantiseRows } from "./fused/quantise-rows.js";

/** What a byte of e4m3fn stands for: a sign, 4 bits of exponent, 3 of fraction. */
function decode(byte: number): number {
  const [exponent, fraction] = [(byte >> 3) & 15, byte & 7];
  const size = exponent ? 2 ** (exponent - 7) * (1 + fraction / 8) : 2 ** -9 * fraction;
  return byte & 128 ? -size : size;
}
const all = Array.from({ length: 256 }, (_, byte) => decode(byte)).filter(
  (_, byte) => (byte & 127) !== 127, // no number
);

const normal = (shape: readonly number[], seed: number) =>
  randn(shape, { generator: new Generator(seed) });

test("rows become the nearest 8-bit numbers, the largest of each 448, and a row of zeros stays one", () =>
  scope(() => {
    const rows = normal([4, 48], 1);
    noGrad(() => rows.narrow(0, 1, 1).mul_(1e-6));
    noGrad(() => rows.narrow(0, 2, 1).mul_(0));
    const { values, scales } = quantiseRows(rows);
    const [given, bytes, scale] = [rows.toArray(), values.toBytes(), scales.toArray()];
    for (const [at, byte] of bytes.entries()) {
      const exact = Math.fround(Number(given[at]) / Number(scale[Math.floor(at / 48)]));
      const distance = (value: number) => Math.abs(value - exact);
      expect(distance(decode(byte))).toBe(Math.min(...all.map(distance)));
    }
    const largest = values.toArray() as Float32Array;
    const largestOf = (row: number) =>
      Math.max(...largest.slice(48 * row, 48 * row + 48).map(Math.abs));
    expect([0, 1, 2, 3].map(largestOf)).toEqual([448, 448, 0, 448]);
  }));

test("a product is that of the numbers which the 8 bits stand for", () =>
  scope(() => {
    const [x, weight] = [quantiseRows(normal([5, 64], 2)), quantiseRows(normal([32, 64], 3))];
    const bias = normal([32], 4).to({ dtype: "bfloat16" });
    const wide = ({ values, scales }: typeof x) => values.to({ dtype: "float32" }).mul(scales);
    const expected = linear(wide(x), wide(weight), bias.to({ dtype: "float32" }));
    const scales = { x: x.scales, weight: weight.scales };
    const product = scaledLinear(x.values, weight.values, scales, bias);
    const atol = 4e-3 * expected.abs().amax().item();
    expectClose(product.to({ dtype: "float32" }), expected, { atol });
  }));

test("a model's blocks multiply in 8 bits once they are told to, near what bfloat16 gives", () => {
  const before = liveTensors();
  const tokenizer = Tokenizer.create("Tiw64d2h1-Tiw64d1h2/8", { seed: 1, dtype: "bfloat16" });
  scope(() => {
    const pixels = normal([2, 3, 1, 16, 24], 5).clamp(-1, 1);
    const recon = (): Tensor => noGrad(() => tokenizer.reconstruct(pixels));
    const expected = recon();
    for (const { blocks } of [tokenizer.encoder, tokenizer.decoder]) quantiseBlocks(blocks);
    expect(tokenizer.placement.dtype).toBe("float8");
    const size = (x: Tensor) => x.square().sum().sqrt().item();
    const difference = size(recon().sub(expected)) / size(expected);
    expect(difference).toBeGreaterThan(0.01);
    expect(difference).toBeLessThan(0.1);
  });
  tokenizer.dispose();
  expect(liveTensors()).toBe(before);
});

test("what cannot multiply in 8 bits says so: a CPU, odd widths", () => {
  expect(() => requireFloat8("cpu")).toThrow(/capability 8.9 or more for float8, received cpu/);
  expect(() => Tokenizer.create("Ti-Ti/8", { dtype: "float8" })).toThrow(/received cpu. Use bfl/);
  const odd = Tokenizer.create("Tiw24d1h2-Tiw24d1h2/8");
  expect(() => quantiseBlocks(odd.encoder.blocks)).toThrow(
    /multiples of 16 for float8, received 72/,
  );
  odd.dispose();
});
