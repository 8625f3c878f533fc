// LPIPS through VGG16 on a GPU: convolution, bias and ReLU are one pass of cuDNN's, and what follows a stage, the distance
// of the two pictures' unit features and the pooling of both, is another. The twin is lpips.ts with vgg16.ts.
// Backward: a stage's distance, pool and last ReLU are one pass as well; weights are frozen, so only pictures have gradients.
import { suitsKernels } from "../nn/fused/choose.js";
import { overGroups } from "../nn/fused/passes.js";
import {
  call,
  type DType,
  deviceTraits,
  float,
  int,
  type Layout,
  loadKernel,
  noGrad,
  type Plan,
  planFor,
  type Tensor,
} from "../torch/index.js";
import type { Weights } from "./trunk.js";
import { stages } from "./vgg16.js";

/** Whether fusedDistance() may stand in: the kernels keep channels together, as cuDNN's fastest convolutions do. */
export function suitsFusedVgg16(pictures: Tensor, trunk: Weights): boolean {
  const weight = trunk["features.0.weight"];
  const [, , height = 0, width = 0] = pictures.shape;
  const isWhole = pictures.dtype === "float32" && (height * width) % 8 === 0;
  const isLow = weight?.dtype === "bfloat16" && weight.device === pictures.device;
  return isWhole && isLow && suitsKernels(pictures);
}

const channelsLast = 2; // at::MemoryFormat

/** x [B, C, H, W] (or a convolution's weight) laid out as [B, H, W, C]. */
export function toChannelsLast(x: Tensor): Tensor {
  return call("contiguous", x, channelsLast);
}

/** recon, target [B, 3, H, W], normalised, in channels' order; heads [1, C, 1, 1] float32, one a stage -> distance [B]; gradient to recon. */
export function fusedDistance(
  trunk: Weights,
  heads: readonly Tensor[],
  [recon, target]: readonly [Tensor, Tensor],
): Tensor {
  let [x, y] = [recon, target];
  const terms: Tensor[] = [];
  for (const [stage, layers] of stages.entries()) {
    for (const layer of layers) {
      const isLast = layer === layers.at(-1);
      x = convRelu(trunk, layer, x, isLast);
      y = noGrad(() => convRelu(trunk, layer, y, isLast));
    }
    const pools = stage < stages.length - 1;
    const [parts, smallX, smallY] = distancePlan(x, pools).run(x, y, heads[stage]!.flatten());
    terms.push(parts!.sum([1]));
    if (pools) [x, y] = [smallX!, smallY!];
  }
  return terms.reduce((total, term) => total.add(term));
}

/** (pictures - shift) / scale, one number a colour, as [B, H, W, 3] in memory and a dtype: what the first layer reads. */
export function normaliseFused(
  pictures: Tensor,
  { mean, deviation }: { mean: readonly number[]; deviation: readonly number[] },
  dtype: DType,
): Tensor {
  const { shape, device } = pictures;
  const plan = planFor(`planes ${shape} ${dtype} ${mean} ${deviation} ${device}`, () => {
    const groups = pictures.numel / 24;
    const constants = { ELEMENT_BITS: dtype === "bfloat16" ? 16 : 32 };
    const { size } = overGroups(device, groups);
    const [shifts, scales] = [mean.map(float), deviation.map((value) => float(1 / value))];
    const sizes = [int(groups), int(shape[2]! * shape[3]!)];
    return {
      inputs: { planes: { shape, dtype: "float32" } },
      forward: {
        buffers: { channels: { shape, dtype, channelsLast: true } },
        steps: [
          {
            kernel: loadKernel("planes", "planes_to_channels", device, constants),
            ...size,
            args: ["planes", "channels", ...sizes, ...shifts, ...scales],
          },
        ],
      },
      outputs: ["channels"],
      backward: {
        buffers: { gradient: { shape, dtype: "float32" } },
        steps: [
          {
            kernel: loadKernel("planes", "planes_to_channels_backward", device, constants),
            ...size,
            args: ["d.channels", "gradient", ...sizes, ...scales],
          },
        ],
      },
      gradients: { planes: "gradient" },
    };
  });
  return plan.run(pictures)[0]!;
}

/** `isMasked`: what reads the output already leaves no gradient where the ReLU was 0. */
function convRelu(trunk: Weights, layer: number, x: Tensor, isMasked: boolean): Tensor {
  const [weight, bias] = ["weight", "bias"].map((name) => trunk[`features.${layer}.${name}`]!) as [
    Tensor,
    Tensor,
  ];
  return convReluPlan(x, weight, isMasked).run(x, weight, bias)[0]!;
}

function convReluPlan(x: Tensor, weight: Tensor, isMasked: boolean): Plan {
  const { shape, dtype, device } = x;
  return planFor(`conv-relu ${shape} ${weight.shape} ${dtype} ${isMasked} ${device}`, () => {
    const sides = [
      [1, 1],
      [1, 1],
      [1, 1],
    ]; // stride, padding, dilation
    return {
      inputs: {
        x: { shape, dtype, channelsLast: true },
        weight: { shape: weight.shape, dtype, channelsLast: true },
        bias: { shape: [weight.size(0)], dtype },
      },
      forward: {
        buffers: {},
        steps: [
          {
            operator: "cudnn_convolution_relu",
            args: ["x", "weight", "bias", ...sides, 1],
            results: ["out"],
          },
        ],
      },
      outputs: ["out"],
      backward: {
        buffers: {},
        steps: [
          ...(isMasked
            ? []
            : [
                {
                  operator: "threshold_backward",
                  args: ["d.out", "out", 0],
                  results: ["masked"],
                },
              ]),
          {
            operator: "convolution_backward",
            args: [
              ...[isMasked ? "d.out" : "masked", "x", "weight", null, ...sides],
              ...[false, [0, 0], 1, [true, false, false]],
            ],
            results: ["gradient", null, null],
          },
        ],
      },
      gradients: { x: "gradient" },
    };
  });
}

/** x, y [B, C, H, W] of a stage, its head [C] -> parts of the distance [B, parts], and both pooled to half their sides. */
export function distancePlan(x: Tensor, pools: boolean): Plan {
  const { shape, dtype, device } = x;
  return planFor(`unit-distance ${shape} ${dtype} ${pools} ${device}`, () => {
    const [batch, channels, height, width] = shape as [number, number, number, number];
    const constants = {
      ...{ C: channels, POOLS: Number(pools) },
      ELEMENT_BITS: dtype === "bfloat16" ? 16 : 32,
    };
    const windows = Math.ceil(height / 2) * Math.ceil(width / 2);
    const windowsPerBlock = 256 / Math.min(channels / 8, 32);
    const { multiprocessors } = deviceTraits(device);
    const parts = Math.max(
      1,
      Math.min(Math.ceil(windows / windowsPerBlock), Math.ceil((8 * multiprocessors) / batch)),
    );
    const full: Layout = { shape, dtype, channelsLast: true };
    const small: Layout = {
      shape: [batch, channels, Math.floor(height / 2), Math.floor(width / 2)],
      ...{ dtype, channelsLast: true },
    };
    const size = { grid: [parts, batch] as const, block: [256] as const };
    const sides = [int(height), int(width)];
    return {
      inputs: { x: full, y: full, head: { shape: [channels], dtype: "float32" } },
      forward: {
        buffers: {
          parts: { shape: [batch, parts], dtype: "float32" },
          ...(pools ? { smallX: small, smallY: small } : {}),
        },
        steps: [
          {
            kernel: loadKernel("unit-distance", "unit_distance", device, constants),
            ...size,
            args: [
              "x",
              "y",
              "head",
              ...(pools ? ["smallX", "smallY"] : ["x", "y"]),
              "parts",
              ...sides,
            ],
          },
        ],
      },
      outputs: ["parts", ...(pools ? ["smallX", "smallY"] : [])],
      backward: {
        buffers: { gradient: full },
        steps: [
          {
            kernel: loadKernel("unit-distance", "unit_distance_backward", device, constants),
            ...size,
            args: [
              "d.parts",
              pools ? "d.smallX" : "d.parts",
              "x",
              "y",
              "head",
              "gradient",
              ...sides,
            ],
          },
        ],
      },
      gradients: { x: "gradient" },
    };
  });
}
