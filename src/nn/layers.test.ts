// The block and its parts against PyTorch 2.13 (scripts/make-nn-fixtures.py), outputs and gradients of the input:
// float32, absolute tolerance 1e-6 (5e-6 where several layers follow each other).
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { grad, ones, type Tensor } from "../torch/index.js";
import { Attention } from "./attention.js";
import { Block } from "./block.js";
import { Linear } from "./linear.js";
import { LayerNorm } from "./norm.js";
import { loadStateDict } from "./parameters.js";
import { RopeTables } from "./rope.js";
import { readSafetensors } from "./safetensors.js";
import { SwiGLU } from "./swiglu.js";

const known = readSafetensors(
  fileURLToPath(new URL("../../test/fixtures/nn/layers.safetensors", import.meta.url)),
);
const [width, heads, hidden] = [24, 2, 64];
const rope = new RopeTables(width / heads).at({ t: 2, h: 2, w: 3 }, 1, "cpu");

/** A layer with the fixture's weights; `renamed` says whose they are. */
function loaded<T extends object>(layer: T, renamed: Record<string, string>): T {
  const weights = Object.entries(renamed).flatMap(([own, source]) =>
    ["weight", "bias"].map((kind) => [
      own ? `${own}.${kind}` : kind,
      known[`${source}.${kind}`] as Tensor,
    ]),
  );
  loadStateDict(layer, Object.fromEntries(weights));
  return layer;
}

const linear = loaded(new Linear(width, width), { "": "proj" });
const norm = loaded(new LayerNorm(width), { "": "norm" });
const attention = loaded(new Attention(width, heads), { qkv: "qkv", proj: "proj" });
const swiglu = loaded(new SwiGLU(width, hidden), { w12: "w12", w3: "w3" });
const block = loaded(new Block(width, heads, hidden), {
  norm1: "norm",
  norm2: "norm",
  "attn.qkv": "qkv",
  "attn.proj": "proj",
  "mlp.w12": "w12",
  "mlp.w3": "w3",
});

describe("layers with PyTorch's weights give its outputs and gradients", () => {
  test.each<[string, number, (x: Tensor) => Tensor]>([
    ["linear", 1e-6, (x) => linear.forward(x)],
    ["norm", 1e-6, (x) => norm.forward(x)],
    ["attention", 1e-6, (x) => attention.forward(x, rope)],
    ["swiglu", 1e-6, (x) => swiglu.forward(x)],
    ["block", 5e-6, (x) => block.forward(x, rope)],
  ])("%s", (name, atol, forward) => {
    const x = known.x!.clone().requiresGrad_();
    const y = forward(x);
    expectClose(y, known[`${name}.y`]!, { atol, name });
    const [gradient] = grad([y], [x], { gradOutputs: [known.seed!] });
    expectClose(gradient!, known[`${name}.grad_x`]!, {
      atol: 2 * atol,
      name: `${name}'s gradient`,
    });
  });
});

test("layers take any leading dimensions", () => {
  expect(linear.forward(ones([width])).shape).toEqual([width]);
  expect(swiglu.forward(ones([2, 3, 4, width])).shape).toEqual([2, 3, 4, width]);
});

test("a norm of bfloat16 keeps its statistics in float32", () => {
  const x = known.x!.add(300); // bfloat16 holds whole numbers to 256: sums in it would lose the rest
  const low = x.to({ dtype: "bfloat16" });
  const affine = [norm.weight, norm.bias].map((tensor) => tensor.to({ dtype: "bfloat16" }));
  const half = Object.assign(new LayerNorm(width), { weight: affine[0], bias: affine[1] });
  const expected = norm.forward(low.to({ dtype: "float32" }));
  expectClose(half.forward(low).to({ dtype: "float32" }), expected, { atol: 0.05 });
});
