// The operators that read best as methods: a typed line each, `x.add(y)` is `add(x, y)` here. ops.ts has the free functions.
// They are libtorch's own, so shapes broadcast and dtypes promote as in PyTorch; names ending in _ change the tensor in place.
import { call } from "./dispatch.js";
import { type DType, dtypeCode } from "./dtype.js";
import { Tensor, type TensorOptions } from "./tensor.js";

type Operand = Tensor | number;
type Dims = number | readonly number[];

/** Operators have an overload for tensors and one for numbers. */
const overload = (name: string, y: Operand) =>
  `${name}.${y instanceof Tensor ? "Tensor" : "Scalar"}`;
const list = (dims: Dims | undefined) => (typeof dims === "number" ? [dims] : dims);

const methods = {
  // Arithmetic
  add: (x: Tensor, y: Operand): Tensor => call(overload("add", y), x, y),
  sub: (x: Tensor, y: Operand): Tensor => call(overload("sub", y), x, y),
  mul: (x: Tensor, y: Operand): Tensor => call(overload("mul", y), x, y),
  div: (x: Tensor, y: Operand): Tensor => call(overload("div", y), x, y),
  pow: (x: Tensor, y: Operand): Tensor =>
    call(y instanceof Tensor ? "pow.Tensor_Tensor" : "pow.Tensor_Scalar", x, y),
  /** x + weight (y - x) */
  lerp: (x: Tensor, y: Tensor, weight: number): Tensor => call("lerp.Scalar", x, y, weight),
  /** x + value a b */
  addcmul: (x: Tensor, a: Tensor, b: Tensor, value = 1): Tensor => call("addcmul", x, a, b, value),
  matmul: (x: Tensor, y: Tensor): Tensor => call("matmul", x, y),
  maximum: (x: Tensor, y: Tensor): Tensor => call("maximum", x, y),
  minimum: (x: Tensor, y: Tensor): Tensor => call("minimum", x, y),
  clamp: (x: Tensor, min?: number, max?: number): Tensor => call("clamp", x, min, max),
  neg: (x: Tensor): Tensor => call("neg", x),
  abs: (x: Tensor): Tensor => call("abs", x),
  square: (x: Tensor): Tensor => call("square", x),
  sqrt: (x: Tensor): Tensor => call("sqrt", x),
  rsqrt: (x: Tensor): Tensor => call("rsqrt", x),
  exp: (x: Tensor): Tensor => call("exp", x),
  log: (x: Tensor): Tensor => call("log", x),
  sin: (x: Tensor): Tensor => call("sin", x),
  cos: (x: Tensor): Tensor => call("cos", x),
  tanh: (x: Tensor): Tensor => call("tanh", x),
  sigmoid: (x: Tensor): Tensor => call("sigmoid", x),
  relu: (x: Tensor): Tensor => call("relu", x),
  silu: (x: Tensor): Tensor => call("silu", x),
  round: (x: Tensor): Tensor => call("round", x),
  floor: (x: Tensor): Tensor => call("floor", x),
  isFinite: (x: Tensor): Tensor => call("isfinite", x),

  // Comparison: tensors of dtype bool
  eq: (x: Tensor, y: Operand): Tensor => call(overload("eq", y), x, y),
  ne: (x: Tensor, y: Operand): Tensor => call(overload("ne", y), x, y),
  lt: (x: Tensor, y: Operand): Tensor => call(overload("lt", y), x, y),
  le: (x: Tensor, y: Operand): Tensor => call(overload("le", y), x, y),
  gt: (x: Tensor, y: Operand): Tensor => call(overload("gt", y), x, y),
  ge: (x: Tensor, y: Operand): Tensor => call(overload("ge", y), x, y),
  all: (x: Tensor): Tensor => call("all", x),
  any: (x: Tensor): Tensor => call("any", x),

  // Shape: views where libtorch makes views
  reshape: (x: Tensor, shape: readonly number[]): Tensor => call("reshape", x, shape),
  view: (x: Tensor, shape: readonly number[]): Tensor => call("view", x, shape),
  flatten: (x: Tensor, start = 0, end = -1): Tensor => call("flatten.using_ints", x, start, end),
  unflatten: (x: Tensor, dim: number, sizes: readonly number[]): Tensor =>
    call("unflatten.int", x, dim, sizes),
  squeeze: (x: Tensor, dim: number): Tensor => call("squeeze.dim", x, dim),
  unsqueeze: (x: Tensor, dim: number): Tensor => call("unsqueeze", x, dim),
  expand: (x: Tensor, shape: readonly number[]): Tensor => call("expand", x, shape),
  transpose: (x: Tensor, a: number, b: number): Tensor => call("transpose.int", x, a, b),
  permute: (x: Tensor, dims: readonly number[]): Tensor => call("permute", x, dims),
  flip: (x: Tensor, dims: Dims): Tensor => call("flip", x, list(dims)),
  select: (x: Tensor, dim: number, index: number): Tensor => call("select.int", x, dim, index),
  narrow: (x: Tensor, dim: number, start: number, length: number): Tensor =>
    call("narrow", x, dim, start, length),
  /** Elements start, start + step, ... before end along a dimension. */
  slice: (x: Tensor, dim: number, start?: number, end?: number, step = 1): Tensor =>
    call("slice.Tensor", x, dim, start, end, step),
  chunk: (x: Tensor, chunks: number, dim = 0): Tensor[] => call("chunk", x, chunks, dim),
  split: (x: Tensor, sizes: readonly number[], dim = 0): Tensor[] =>
    call("split_with_sizes", x, sizes, dim),
  unbind: (x: Tensor, dim = 0): Tensor[] => call("unbind.int", x, dim),
  indexSelect: (x: Tensor, dim: number, index: Tensor): Tensor =>
    call("index_select", x, dim, index),
  gather: (x: Tensor, dim: number, index: Tensor): Tensor => call("gather", x, dim, index),
  contiguous: (x: Tensor): Tensor => call("contiguous", x),
  clone: (x: Tensor): Tensor => call("clone", x),
  detach: (x: Tensor): Tensor => call("detach", x),

  // Reduction: over every dimension unless told
  sum: (x: Tensor, dims?: Dims, keepdim = false): Tensor =>
    call("sum.dim_IntList", x, list(dims), keepdim),
  mean: (x: Tensor, dims?: Dims, keepdim = false): Tensor =>
    call("mean.dim", x, list(dims), keepdim),
  /** Unbiased (n - 1) unless correction says otherwise. */
  variance: (x: Tensor, dims?: Dims, keepdim = false, correction = 1): Tensor =>
    call("var.correction", x, list(dims), correction, keepdim),
  amax: (x: Tensor, dims?: Dims, keepdim = false): Tensor => call("amax", x, list(dims), keepdim),
  amin: (x: Tensor, dims?: Dims, keepdim = false): Tensor => call("amin", x, list(dims), keepdim),
  argmax: (x: Tensor, dim?: number, keepdim = false): Tensor => call("argmax", x, dim, keepdim),
  cumsum: (x: Tensor, dim: number): Tensor => call("cumsum", x, dim),
  softmax: (x: Tensor, dim: number, dtype?: DType): Tensor =>
    call("softmax.int", x, dim, dtype && dtypeCode(dtype)),
  logSoftmax: (x: Tensor, dim: number): Tensor => call("log_softmax.int", x, dim),

  // In place
  add_: (x: Tensor, y: Operand): Tensor => call(overload("add_", y), x, y),
  sub_: (x: Tensor, y: Operand): Tensor => call(overload("sub_", y), x, y),
  mul_: (x: Tensor, y: Operand): Tensor => call(overload("mul_", y), x, y),
  div_: (x: Tensor, y: Operand): Tensor => call(overload("div_", y), x, y),
  clamp_: (x: Tensor, min?: number, max?: number): Tensor => call("clamp_", x, min, max),
  lerp_: (x: Tensor, y: Tensor, weight: number): Tensor => call("lerp_.Scalar", x, y, weight),
  copy_: (x: Tensor, y: Tensor): Tensor => call("copy_", x, y),
  zero_: (x: Tensor): Tensor => call("zero_", x),
  fill_: (x: Tensor, value: number): Tensor => call("fill_.Scalar", x, value),

  /** The same values in another dtype or on another device; itself where nothing changes. */
  to: (x: Tensor, options: TensorOptions): Tensor =>
    call("to.device", x, options.device ?? x.device, dtypeCode(options.dtype ?? x.dtype)),
};

type Table = typeof methods;

/** The table as methods: the first argument becomes `this`. */
export type Methods = {
  [Name in keyof Table]: Table[Name] extends (x: never, ...rest: infer Rest) => infer Result
    ? (...rest: Rest) => Result
    : never;
};

for (const [name, method] of Object.entries(methods)) {
  const operator = method as (...args: unknown[]) => unknown;
  Object.defineProperty(Tensor.prototype, name, {
    // Four plain parameters instead of a rest: the call stays cheap.
    value(this: Tensor, a?: unknown, b?: unknown, c?: unknown, d?: unknown) {
      return operator(this, a, b, c, d);
    },
  });
}
