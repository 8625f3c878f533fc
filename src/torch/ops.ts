// The operators that are free functions: factories, joins, and the layers' own. A typed line each, libtorch's semantics.
import { call } from "./dispatch.js";
import { dtypeCode } from "./dtype.js";
import type { Generator } from "./random.js";
import type { Shape, Tensor, TensorOptions } from "./tensor.js";

const dtypeOf = (options: TensorOptions) => dtypeCode(options.dtype ?? "float32");
const deviceOf = (options: TensorOptions) => options.device ?? "cpu";
type Random = TensorOptions & { generator?: Generator };

// Factories: float32 on the CPU unless told
export const zeros = (shape: Shape, o: TensorOptions = {}): Tensor =>
  call("zeros", shape, dtypeOf(o), undefined, deviceOf(o));
export const ones = (shape: Shape, o: TensorOptions = {}): Tensor =>
  call("ones", shape, dtypeOf(o), undefined, deviceOf(o));
export const empty = (shape: Shape, o: TensorOptions = {}): Tensor =>
  call("empty.memory_format", shape, dtypeOf(o), undefined, deviceOf(o));
export const full = (shape: Shape, value: number, o: TensorOptions = {}): Tensor =>
  call("full", shape, value, dtypeOf(o), undefined, deviceOf(o));
export const zerosLike = (x: Tensor): Tensor => call("zeros_like", x);
/** 0, 1, ... end - 1 */
export const arange = (end: number, o: TensorOptions = {}): Tensor =>
  call("arange", end, dtypeOf(o), undefined, deviceOf(o));
export const eye = (n: number, o: TensorOptions = {}): Tensor =>
  call("eye", n, dtypeOf(o), undefined, deviceOf(o));
/** Uniform in [0, 1). */
export const rand = (shape: Shape, o: Random = {}): Tensor =>
  call("rand.generator", shape, o.generator?.handle, dtypeOf(o), undefined, deviceOf(o));
/** Standard normal. */
export const randn = (shape: Shape, o: Random = {}): Tensor =>
  call("randn.generator", shape, o.generator?.handle, dtypeOf(o), undefined, deviceOf(o));

// Joins and choices
export const cat = (tensors: readonly Tensor[], dim = 0): Tensor => call("cat", tensors, dim);
export const stack = (tensors: readonly Tensor[], dim = 0): Tensor => call("stack", tensors, dim);
export const where = (condition: Tensor, x: Tensor, y: Tensor): Tensor =>
  call("where.self", condition, x, y);

// Layers
export const linear = (x: Tensor, weight: Tensor, bias?: Tensor): Tensor =>
  call("linear", x, weight, bias);
/** x W^T + b of float8 x [M, K] and weight [N, K], each row times its scale, float32 [M, 1] and [N, 1] -> bfloat16 [M, N] */
export const scaledLinear = (
  x: Tensor,
  weight: Tensor,
  scales: { x: Tensor; weight: Tensor },
  bias?: Tensor,
): Tensor =>
  call(
    "_scaled_mm",
    ...[x, call("t", weight), scales.x, call("t", scales.weight)],
    ...[bias, undefined, dtypeCode("bfloat16"), true], // sums within the matrix unit, which is fast
  );
export const layerNorm = (
  x: Tensor,
  shape: Shape,
  weight?: Tensor,
  bias?: Tensor,
  eps = 1e-5,
): Tensor => call("layer_norm", x, shape, weight, bias, eps);
export const rmsNorm = (x: Tensor, shape: Shape, weight?: Tensor, eps = 1e-6): Tensor =>
  call("rms_norm", x, shape, weight, eps);
/** Over groups of the channels of x [B, C, ...]. */
export const groupNorm = (
  x: Tensor,
  groups: number,
  weight?: Tensor,
  bias?: Tensor,
  eps = 1e-5,
): Tensor => call("group_norm", x, groups, weight, bias, eps);
/** q, k, v [B, heads, N, head_dim]; `mask`, bool and broadcastable to [B, heads, N, N], is true where a query sees a key. */
export const scaledDotProductAttention = (q: Tensor, k: Tensor, v: Tensor, mask?: Tensor): Tensor =>
  call("scaled_dot_product_attention", q, k, v, mask);

export interface ConvOptions {
  stride?: number | Shape;
  padding?: number | Shape;
  dilation?: number | Shape;
  groups?: number;
}
const list = (value: number | Shape, rank: number) =>
  typeof value === "number" ? Array<number>(rank).fill(value) : value;
const convolution =
  (rank: number) =>
  (x: Tensor, weight: Tensor, bias?: Tensor, o: ConvOptions = {}): Tensor =>
    call(
      `conv${rank}d`,
      x,
      weight,
      bias,
      list(o.stride ?? 1, rank),
      list(o.padding ?? 0, rank),
      list(o.dilation ?? 1, rank),
      o.groups ?? 1,
    );
export const conv2d = convolution(2);
export const conv3d = convolution(3);
export const convTranspose3d = (
  x: Tensor,
  weight: Tensor,
  bias?: Tensor,
  o: ConvOptions = {},
): Tensor =>
  call(
    "conv_transpose3d.input",
    x,
    weight,
    bias,
    list(o.stride ?? 1, 3),
    list(o.padding ?? 0, 3),
    [0, 0, 0],
    o.groups ?? 1,
    list(o.dilation ?? 1, 3),
  );

export interface PoolOptions {
  kernel: number;
  /** Default: the kernel. */
  stride?: number;
  padding?: number;
  ceilMode?: boolean;
  /** Average pools only. */
  countIncludePad?: boolean;
}
export const maxPool2d = (x: Tensor, o: PoolOptions): Tensor =>
  call("max_pool2d", x, o.kernel, o.stride ?? o.kernel, o.padding ?? 0, 1, o.ceilMode ?? false);
export const avgPool2d = (x: Tensor, o: PoolOptions): Tensor =>
  call(
    "avg_pool2d",
    x,
    o.kernel,
    o.stride ?? o.kernel,
    o.padding ?? 0,
    o.ceilMode ?? false,
    o.countIncludePad ?? true,
  );

export interface InterpolateOptions {
  size: readonly [height: number, width: number];
  mode: "bilinear" | "bicubic";
  alignCorners?: boolean;
  /** A filter as wide as the reduction, as Pillow has it. */
  antialias?: boolean;
}
/** Each pixel of x [B, C, H, W] as `factor` x `factor`. */
export const upsampleNearest = (x: Tensor, factor: number): Tensor =>
  call("upsample_nearest2d", x, [x.size(2) * factor, x.size(3) * factor]);
/** Pads the last dimensions with a value: [left, right, top, bottom]. */
export const padConstant = (x: Tensor, amounts: Shape, value = 0): Tensor =>
  call("constant_pad_nd", x, amounts, value);
/** Resizes the last two dimensions of x [B, C, H, W], without clamping. */
export const interpolate = (x: Tensor, o: InterpolateOptions): Tensor =>
  call(
    o.antialias ? `_upsample_${o.mode}2d_aa` : `upsample_${o.mode}2d`,
    x,
    o.size,
    o.alignCorners ?? false,
  );

// Linear algebra
/** Eigenvalues, ascending, and eigenvectors (columns) of a symmetric matrix. */
export const eigh = (x: Tensor): [values: Tensor, vectors: Tensor] => call("linalg_eigh", x);
export const eigvalsh = (x: Tensor): Tensor => call("linalg_eigvalsh", x);
