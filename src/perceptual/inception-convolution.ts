// One convolution of Inception with its bias and ReLU, by what a device is good at. Inception itself is inception.ts.
import { suitsKernels } from "../nn/fused/choose.js";
import { overGroups } from "../nn/fused/passes.js";
import { call, empty, int, launch, loadKernel, type Tensor } from "../torch/index.js";
import type { ConvLayer } from "./inception-layers.js";

/**
 * How activations lie and products are made. `onednn`: on a CPU, all in one pass. `plain`: libtorch's operators. With kernels:
 * `rows`, channels together; `planes`, each channel by itself; `split`, channels together and each product as three of
 * TensorFloat-32, as exact as one of float32 to about 1e-6.
 */
export type Way = "onednn" | "plain" | "rows" | "planes" | "split";

/** As a way wants them; of `split` the weight is [out, 3 in, height, width]. */
export interface Convolution {
  readonly way: Way;
  readonly weight: Tensor;
  readonly bias: Tensor;
}

const formats = { planes: 0, rows: 2 } as const; // at::MemoryFormat
const formatOf = (way: Way): number => formats[way === "planes" ? "planes" : "rows"];

/** weight [out, in, height, width] and bias [out], float32 on their device */
export function prepareConvolution(weight: Tensor, bias: Tensor, asked: Way): Convolution {
  const way = asked === "split" && weight.size(1) % 8 !== 0 ? "rows" : asked;
  const laidOut = (x: Tensor) => call("contiguous", x, formatOf(way));
  if (way !== "split") return { way, weight: laidOut(weight), bias };
  const [high, low] = partsOf(weight);
  return { way, weight: laidOut(call("cat", [high, high, low], 1)), bias };
}

/** The nearest numbers that TensorFloat-32 has, and what is left, as such numbers. */
function partsOf(x: Tensor): [high: Tensor, low: Tensor] {
  const rounded = (value: Tensor) => {
    const bits = call("view.dtype", value, int32).add(1 << 12);
    return call("view.dtype", call("bitwise_and.Scalar", bits, ~0x1fff), float32);
  };
  const high = rounded(x);
  return [high, rounded(x.sub(high))];
}
const [int32, float32] = [3, 6]; // at::ScalarType

/** x [N, C, H, W] as a convolution of this way reads it: laid out, in parts where it multiplies parts. */
export function inputOf(x: Tensor, { way, weight }: Convolution): Tensor {
  if (x.size(1) === weight.size(1)) return call("contiguous", x, formatOf(way));
  return finishRows(call("contiguous", x, formats.rows), undefined, 3);
}

/**
 * x as inputOf() gives it -> relu(convolution + bias); in parts where `next`, which alone reads it, multiplies parts. `tf32`: a
 * GPU may round what it multiplies.
 */
export function convolve(
  x: Tensor,
  convolution: Convolution,
  { layer, tf32, next }: { layer: ConvLayer; tf32: boolean; next?: Convolution | undefined },
): Tensor {
  const { way, weight, bias } = convolution;
  const sides = [layer.stride, layer.stride];
  const dilation = [1, 1];
  if (way === "onednn") {
    const fused = "mkldnn::_convolution_pointwise";
    return call(fused, x, weight, bias, layer.padding, sides, dilation, 1, "relu", [], "");
  }
  const hasKernel = way !== "plain" && suitsKernels(x) && x.numel < 2 ** 29; // 32-bit places
  const geometry = [sides, layer.padding, dilation, false, [0, 0], 1] as const;
  // cuDNN by its rules: its search was no faster (docs/log.md), and tries what takes all of a GPU's memory.
  const switches = { benchmark: false, deterministic: false, cudnn: true };
  const product = call(
    "_convolution",
    ...[x, weight, hasKernel ? undefined : bias, ...geometry, ...Object.values(switches)],
    tf32 || way === "split",
  );
  if (!hasKernel) return call("relu_", product);
  if (way === "planes") return finishPlanes(product, bias);
  return finishRows(product, bias, next?.way === "split" ? 3 : 1);
}

const whole = { PARTS: 1, HAS_BIAS: 1 };

/** In place. x [N, C, H, W], planes one after another */
function finishPlanes(x: Tensor, bias: Tensor): Tensor {
  const [, channels, height, width] = x.shape as [number, number, number, number];
  const kernel = loadKernel("bias-relu", "bias_relu_planes", x.device, whole);
  const { size } = overGroups(x.device, x.numel / 8);
  launch(kernel, size, [x, bias, x, int(x.numel), int(height * width), int(channels)]);
  return x;
}

/** x [N, C, H, W] with channels together -> the same in place, or in three parts. */
function finishRows(x: Tensor, bias: Tensor | undefined, parts: 1 | 3): Tensor {
  const [count, channels, height, width] = x.shape as [number, number, number, number];
  const { device } = x;
  const constants = { PARTS: parts, HAS_BIAS: Number(bias !== undefined) };
  const kernel = loadKernel("bias-relu", "bias_relu_rows", device, constants);
  const rows = x.permute([0, 2, 3, 1]);
  const out = parts === 1 ? rows : empty([count, height, width, 3 * channels], { device });
  const groups = x.numel / 8;
  const { size } = overGroups(device, groups);
  launch(kernel, size, [rows, bias ?? rows, out, int(groups), int(channels)]);
  return parts === 1 ? x : out.permute([0, 3, 1, 2]);
}
