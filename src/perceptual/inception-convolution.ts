// One convolution of Inception with its bias and ReLU, by what a device is good at; and several that read the same as one.
// Inception itself is inception.ts.
import { suitsKernels } from "../nn/fused/choose.js";
import { overGroups } from "../nn/fused/passes.js";
import { call, cat, int, launch, loadKernel, type Tensor } from "../torch/index.js";
import type { ConvLayer, Layer, Step } from "./inception-layers.js";

/**
 * How activations lie. `onednn`: on a CPU, channels together, all in one pass. `plain`: libtorch's operators, channels
 * together. With kernels for bias and ReLU: `rows`, channels together, what TensorFloat-32 is fastest with; `planes`, each
 * channel by itself, what float32 is.
 */
export type Way = "onednn" | "plain" | "rows" | "planes";

/** Float32, laid out as its way wants it. */
export interface Convolution {
  readonly weight: Tensor;
  readonly bias: Tensor;
}

/** x [N, C, H, W], or a weight, as a way lays it out. */
export function laidOut(x: Tensor, way: Way): Tensor {
  return call("contiguous", x, way === "planes" ? formats.contiguous : formats.channelsLast);
}
const formats = { contiguous: 0, channelsLast: 2 }; // at::MemoryFormat

/** x [N, C, H, W] -> relu(convolution + bias). `tf32`: a GPU may multiply in TensorFloat-32. */
export function convolve(
  x: Tensor,
  { weight, bias }: Convolution,
  { layer, way, tf32 }: { layer: ConvLayer; way: Way; tf32: boolean },
): Tensor {
  const input = laidOut(x, way);
  const sides = [layer.stride, layer.stride];
  const dilation = [1, 1];
  if (way === "onednn") {
    const fused = "mkldnn::_convolution_pointwise";
    return call(fused, input, weight, bias, layer.padding, sides, dilation, 1, "relu", [], "");
  }
  const hasKernel = way !== "plain" && suitsKernels(x) && x.numel < 2 ** 29; // 32-bit places
  const geometry = [sides, layer.padding, dilation, false, [0, 0], 1] as const;
  // cuDNN by its rules: its search was no faster (docs/log.md), and tries what takes all of a GPU's memory.
  const switches = { benchmark: false, deterministic: false, cudnn: true, tf32 };
  const given = [input, weight, hasKernel ? undefined : bias];
  const product = call("_convolution", ...given, ...geometry, ...Object.values(switches));
  return hasKernel ? biasRelu(product, bias, way) : call("relu_", product);
}

/** In place. */
function biasRelu(x: Tensor, bias: Tensor, way: Way): Tensor {
  const [, channels, height, width] = x.shape as [number, number, number, number];
  const groups = x.numel / 8;
  const name = way === "planes" ? "bias_relu_planes" : "bias_relu_rows";
  const isPlanes = way === "planes";
  const sizes = isPlanes ? [x.numel, height * width, channels] : [groups, channels];
  const kernel = loadKernel("bias-relu", name, x.device);
  const memory = isPlanes ? x : x.permute([0, 2, 3, 1]);
  launch(kernel, overGroups(x.device, groups).size, [bias, memory, ...sizes.map(int)]);
  return x;
}

/** The first layers of branches that read the same, as one convolution whose channels are cut apart. */
export interface SharedConvolution extends Convolution {
  readonly layer: ConvLayer;
  /** Channels by branch of the fork; of branches that begin otherwise undefined. */
  readonly widths: ReadonlyMap<number, number>;
}

/**
 * Of each fork of which two branches or more begin with a 1 x 1 convolution. Wider products waste less of a GPU: 192 channels take
 * the time of 256.
 */
export function sharedConvolutions(
  steps: readonly Step[],
  { convolutions, way }: { convolutions: Readonly<Record<string, Convolution>>; way: Way },
): Map<Layer, SharedConvolution> {
  const found = new Map<Layer, SharedConvolution>();
  for (const step of steps) {
    if (step.kind !== "fork") continue;
    const firsts = step.branches.flatMap(([first], branch) =>
      first?.kind === "conv" && Math.max(...first.kernel) === 1 && convolutions[first.name]
        ? [{ branch, layer: first, convolution: convolutions[first.name]! }]
        : [],
    );
    if (firsts.length < 2) continue;
    const weight = cat(firsts.map(({ convolution }) => convolution.weight));
    const bias = cat(firsts.map(({ convolution }) => convolution.bias));
    const widths = new Map(firsts.map(({ branch, layer }) => [branch, layer.out]));
    found.set(step, { layer: firsts[0]!.layer, weight: laidOut(weight, way), bias, widths });
  }
  return found;
}
