// The typed operators: small ones against values worked out by hand (exact unless noted), the layers' own against
// PyTorch 2.13 (scripts/make-nn-fixtures.py; float32, absolute tolerance 1e-5).
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { readSafetensors } from "../nn/safetensors.js";
import * as torch from "./index.js";
import { Tensor } from "./index.js";

const fixture = fileURLToPath(
  new URL("../../test/fixtures/nn/operators.safetensors", import.meta.url),
);
const values = (tensor: Tensor) => [...tensor.toArray()].map(Number);
const matrix = () => Tensor.from([1, 2, 3, 4, 5, 6], [2, 3]);
const row = () => Tensor.from([-2, 0.5, 4]);
const index = (...numbers: number[]) => Tensor.from(numbers, [numbers.length], { dtype: "int64" });

describe("operators against hand-worked values", () => {
  test.each<[string, () => Tensor, number[]]>([
    ["add", () => row().add(1), [-1, 1.5, 5]],
    ["add, broadcast", () => matrix().add(Tensor.from([10, 20, 30])), [11, 22, 33, 14, 25, 36]],
    ["sub", () => row().sub(row().mul(2)), [2, -0.5, -4]],
    ["mul", () => row().mul(-2), [4, -1, -8]],
    ["div", () => row().div(Tensor.from([4, 0.5, -2])), [-0.5, 1, -2]],
    ["pow", () => row().pow(2), [4, 0.25, 16]],
    ["pow, tensor", () => row().pow(Tensor.from([2, 1, 0.5])), [4, 0.5, 2]],
    ["lerp", () => row().lerp(Tensor.from([2, 0.5, 0]), 0.25), [-1, 0.5, 3]],
    ["maximum", () => row().maximum(Tensor.from([0, 1, 2])), [0, 1, 4]],
    ["minimum", () => row().minimum(Tensor.from([0, 1, 2])), [-2, 0.5, 2]],
    ["clamp", () => row().clamp(-1, 1), [-1, 0.5, 1]],
    ["clamp, above only", () => row().clamp(undefined, 1), [-2, 0.5, 1]],
    ["neg", () => row().neg(), [2, -0.5, -4]],
    ["abs", () => row().abs(), [2, 0.5, 4]],
    ["square", () => row().square(), [4, 0.25, 16]],
    ["sqrt", () => row().square().sqrt(), [2, 0.5, 4]],
    ["rsqrt", () => Tensor.from([4, 0.25]).rsqrt(), [0.5, 2]],
    ["relu", () => row().relu(), [0, 0.5, 4]],
    ["round, half to even", () => Tensor.from([0.5, 1.5, 2.6, -0.6]).round(), [0, 2, 3, -1]],
    ["floor", () => Tensor.from([0.5, -0.5]).floor(), [0, -1]],
    ["isFinite", () => Tensor.from([1, Number.NaN, -1 / 0]).isFinite(), [1, 0, 0]],
    ["eq", () => row().eq(4), [0, 0, 1]],
    ["ne", () => row().ne(4), [1, 1, 0]],
    ["lt", () => row().lt(0.5), [1, 0, 0]],
    ["le", () => row().le(0.5), [1, 1, 0]],
    ["gt", () => row().gt(Tensor.from([-3, 1, 4])), [1, 0, 0]],
    ["ge", () => row().ge(Tensor.from([-3, 1, 4])), [1, 0, 1]],
    ["all", () => row().gt(0).all(), [0]],
    ["any", () => row().gt(0).any(), [1]],
    ["matmul", () => matrix().matmul(matrix().transpose(0, 1)), [14, 32, 32, 77]],
    ["reshape", () => matrix().reshape([3, -1]), [1, 2, 3, 4, 5, 6]],
    ["permute", () => matrix().permute([1, 0]), [1, 4, 2, 5, 3, 6]],
    ["flip", () => matrix().flip(1), [3, 2, 1, 6, 5, 4]],
    ["select", () => matrix().select(0, -1), [4, 5, 6]],
    ["narrow", () => matrix().narrow(1, 1, 2), [2, 3, 5, 6]],
    ["slice", () => matrix().slice(1, 0, undefined, 2), [1, 3, 4, 6]],
    ["indexSelect", () => matrix().indexSelect(1, index(2, 0)), [3, 1, 6, 4]],
    ["gather", () => matrix().gather(1, index(2, 0).unsqueeze(1)), [3, 4]],
    ["sum", () => matrix().sum(), [21]],
    ["sum, one dimension", () => matrix().sum(0), [5, 7, 9]],
    ["mean", () => matrix().mean(-1), [2, 5]],
    ["variance", () => matrix().variance(1), [1, 1]],
    ["variance, biased", () => Tensor.from([1, 3]).variance(0, false, 0), [1]],
    ["amax", () => matrix().amax(0), [4, 5, 6]],
    ["amin", () => matrix().amin([0, 1]), [1]],
    ["argmax", () => matrix().argmax(1), [2, 2]],
    ["cumsum", () => row().cumsum(0), [-2, -1.5, 2.5]],
    ["softmax", () => Tensor.from([0, 0]).softmax(0), [0.5, 0.5]],
    ["sigmoid", () => torch.zeros([2]).sigmoid(), [0.5, 0.5]],
    ["silu", () => torch.zeros([1]).silu(), [0]],
    ["where", () => torch.where(row().gt(0), row(), row().neg()), [2, 0.5, 4]],
    ["cat", () => torch.cat([row(), row().neg()]), [-2, 0.5, 4, 2, -0.5, -4]],
    ["stack", () => torch.stack([row(), row().neg()], 1), [-2, 2, 0.5, -0.5, 4, -4]],
    ["zeros", () => torch.zeros([2]), [0, 0]],
    ["ones", () => torch.ones([2], { dtype: "int8" }), [1, 1]],
    ["full", () => torch.full([2], 1.5), [1.5, 1.5]],
    ["zerosLike", () => torch.zerosLike(row()), [0, 0, 0]],
    ["arange", () => torch.arange(3), [0, 1, 2]],
    ["eye", () => torch.eye(2), [1, 0, 0, 1]],
    ["linear", () => torch.linear(row(), matrix(), Tensor.from([1, 1])), [12, 19.5]],
    [
      "layerNorm",
      () => torch.layerNorm(Tensor.from([1, 3]), [2], undefined, undefined, 0),
      [-1, 1],
    ],
  ])("%s", (_, run, expected) => {
    expect(values(run())).toEqual(expected);
  });

  test.each<[string, (x: Tensor) => Tensor, (x: number) => number]>([
    ["exp", (x) => x.exp(), Math.exp],
    ["log", (x) => x.log(), Math.log],
    ["sin", (x) => x.sin(), Math.sin],
    ["cos", (x) => x.cos(), Math.cos],
    ["tanh", (x) => x.tanh(), Math.tanh],
    ["sigmoid", (x) => x.sigmoid(), (x) => 1 / (1 + Math.exp(-x))],
    ["silu", (x) => x.silu(), (x) => x / (1 + Math.exp(-x))],
  ])("%s agrees with JavaScript's to 1e-14 in float64", (_, run, reference) => {
    const x = Float64Array.from({ length: 100 }, (_, i) => (i + 1) / 17);
    expectClose(run(Tensor.from(x)), Tensor.from(x.map(reference)), { atol: 1e-12 });
  });

  test("the shapes of views are libtorch's", () => {
    expect(matrix().flatten().shape).toEqual([6]);
    expect(matrix().unsqueeze(0).squeeze(0).shape).toEqual([2, 3]);
    expect(matrix().unflatten(1, [3, 1]).shape).toEqual([2, 3, 1]);
    expect(matrix().view([1, 6]).shape).toEqual([1, 6]);
    expect(matrix().sum(1, true).shape).toEqual([2, 1]);
    expect(torch.empty([2, 0]).shape).toEqual([2, 0]);
  });

  test("what gives several tensors gives an array of them", () => {
    const shapes = (tensors: Tensor[]) => tensors.map((tensor) => tensor.shape);
    expect(shapes(matrix().chunk(2, -1))).toEqual([
      [2, 2],
      [2, 1],
    ]);
    expect(shapes(matrix().split([1, 2], 1))).toEqual([
      [2, 1],
      [2, 2],
    ]);
    expect(shapes(matrix().unbind(1))).toEqual([[2], [2], [2]]);
  });

  test("whole numbers keep integer tensors integer, others make them float", () => {
    expect(index(1, 2).add(1).dtype).toBe("int64");
    expect(index(1, 2).mul(0.5).dtype).toBe("float32");
    expect(index(1, 2).gt(1).dtype).toBe("bool");
  });

  test("an operator in place changes and returns the tensor itself", () => {
    const x = Tensor.from([1, 2, 3]);
    const before = torch.liveTensors();
    expect(x.add_(1).mul_(2).sub_(2).div_(4).clamp_(0.6, 5)).toBe(x);
    expect(values(x)).toEqual([0.6000000238418579, 1, 1.5]);
    expect(x.fill_(2).lerp_(x, 0.5).zero_().copy_(row())).toBe(x);
    expect(values(x)).toEqual([-2, 0.5, 4]);
    expect(torch.liveTensors()).toBe(before + 1); // row()
  });

  test("an operator with an output returns that output", () => {
    const out = torch.empty([3]);
    expect(torch.call("add.out", row(), row(), undefined, out)).toBe(out);
    expect(values(out)).toEqual([-4, 1, 8]);
  });

  test("to converts, and is the same memory where nothing changes", () => {
    const x = row();
    const same = x.to({ dtype: "float32" });
    x.zero_();
    expect(values(same)).toEqual([0, 0, 0]);
    expect(row().to({ dtype: "int32" }).toArray()).toEqual(Int32Array.from([-2, 0, 4]));
  });

  test("clone and contiguous of a view are memory of their own, detach is not", () => {
    const x = matrix();
    const [copy, made, shared] = [x.clone(), x.transpose(0, 1).contiguous(), x.detach()];
    x.zero_();
    expect(values(copy)).toEqual([1, 2, 3, 4, 5, 6]);
    expect(values(made)).toEqual([1, 4, 2, 5, 3, 6]);
    expect(values(shared)).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe("layers' operators against PyTorch", () => {
  const known = readSafetensors(fixture) as Record<string, Tensor>;
  const { x, image, kernel2, kernel3, bias, clip, heads, symmetric } = known as Record<
    "x" | "image" | "kernel2" | "kernel3" | "bias" | "clip" | "heads" | "symmetric",
    Tensor
  >;
  const size = [5, 9] as const;
  const pool = { kernel: 3, stride: 2, padding: 1 };

  test.each<[string, () => Tensor]>([
    [
      "conv2d",
      () => torch.conv2d(x, kernel2, bias, { stride: [2, 1], padding: 1, dilation: [1, 2] }),
    ],
    ["conv3d", () => torch.conv3d(clip, kernel3, bias.narrow(0, 0, 2), { stride: 2 })],
    [
      "conv_transpose3d",
      () =>
        torch.convTranspose3d(torch.ones([1, 2, 2, 2, 2]), kernel3, bias.narrow(0, 0, 3), {
          stride: 2,
        }),
    ],
    ["max_pool2d", () => torch.maxPool2d(image, { ...pool, ceilMode: true })],
    ["avg_pool2d", () => torch.avgPool2d(image, { ...pool, countIncludePad: false })],
    ["bilinear", () => torch.interpolate(image, { size, mode: "bilinear" })],
    ["bicubic", () => torch.interpolate(image, { size, mode: "bicubic", antialias: true })],
    ["corners", () => torch.interpolate(image, { size, mode: "bilinear", alignCorners: true })],
    [
      "attention",
      () => torch.scaledDotProductAttention(...(heads.unbind() as [Tensor, Tensor, Tensor])),
    ],
    ["softmax", () => x.softmax(2)],
    ["log_softmax", () => x.logSoftmax(1)],
    ["variance", () => x.variance([0, 2])],
    ["cumsum", () => x.cumsum(3)],
    ["eigenvalues", () => torch.eigvalsh(symmetric)],
  ])("%s", (name, run) => {
    expectClose(run(), known[name]!, { atol: 1e-5, name });
  });

  test("eigh's vectors rebuild the matrix", () => {
    const [eigenvalues, vectors] = torch.eigh(symmetric);
    const rebuilt = vectors.mul(eigenvalues).matmul(vectors.transpose(0, 1));
    expectClose(rebuilt, symmetric, { atol: 1e-12 });
  });
});
