// Self-attention of few tokens, from the product of queries, keys and values to what the heads attended to: bias, rotary turn,
// softmax and both products in one kernel, and one for the way back. What lies between never meets the GPU's memory.
import {
  deviceTraits,
  float,
  int,
  type Layout,
  loadKernel,
  type Plan,
  planFor,
  scaledDotProductAttention,
  type Tensor,
} from "../../torch/index.js";
import type { Linear } from "../linear.js";
import type { Rope } from "../rope.js";
import { bitsOf, suitsKernels } from "./choose.js";
import { columnSum } from "./column-sum.js";
import { rotatedHeadsTwin, rotateProduct, suitsTurn, turnedHeads } from "./rotated-heads.js";

const headDim = 64;
/** More tokens do not fit in a multiprocessor's shared memory, with their gradients. */
const mostTokens = 256;
let limit = mostTokens;

/** For checks and benchmarks: the kernel takes up to so many tokens. Returns what was set. */
export function setSelfAttention(tokens = mostTokens): number {
  const before = limit;
  limit = Math.min(tokens, mostTokens);
  return before;
}

/** x [B, N, D] through a linear of 3 D outputs, q, k, v -> what the heads attended to, [B, N, D] */
export function selfAttention(x: Tensor, linear: Linear, rope: Rope, heads: number): Tensor {
  const { bias } = linear;
  if (!suitsKernels(x, bias)) return attend(rotatedHeadsTwin(x, linear, rope, heads));
  const fits = fitsKernel(x, heads);
  const isOurs = fits && x.dtype === "bfloat16"; // of inference; a training step casts what it multiplies
  if (!isOurs && suitsTurn(x, bias)) return attend(turnedHeads(x, linear, rope, heads));
  const all = linear.product(x);
  if (!fits || all.dtype !== "bfloat16") return attend(rotateProduct(all, bias, rope, heads));
  return planOf(all, bias, heads).run(all, bias, rope.cos, rope.sin)[0]!;
}

/** Three [B, heads, N, headDim] -> [B, N, D], by libtorch's choice of kernel. */
function attend([q, k, v]: readonly [Tensor, Tensor, Tensor]): Tensor {
  return scaledDotProductAttention(q, k, v).transpose(1, 2).flatten(2);
}

/** Where the product of x is bfloat16; 90: whose instructions the kernels use. */
function fitsKernel({ shape, device }: Tensor, heads: number): boolean {
  const [, tokens, width] = shape as [number, number, number];
  return tokens <= limit && width === heads * headDim && deviceTraits(device).capability === 90;
}

const keys = 64; // that the kernels look at together
const groups = 2; // of four warps that multiply

function planOf(all: Tensor, bias: Tensor, heads: number): Plan {
  const { shape, dtype, device } = all;
  return planFor(`self-attention ${shape} ${heads} ${bias.dtype} ${device}`, () => {
    const [batch, tokens, columns] = shape as [number, number, number];
    const constants = { N: tokens, H: heads, ...bitsOf(all, bias) };
    const rows = Math.ceil(tokens / keys) * keys;
    const partBytes = 2 * rows * headDim; // of queries, keys, values or the output's gradient
    const sumBytes = 4 * (2 * rows + groups * 4 * 3 * headDim);
    const scale = float(headDim ** -0.5);
    const out: Layout = { shape: [batch, tokens, columns / 3], dtype };
    const table: Layout = { shape: [tokens, headDim / 2], dtype: "float32" };
    return {
      inputs: {
        all: { shape, dtype },
        bias: { shape: [columns], dtype: bias.dtype },
        ...{ cos: table, sin: table },
      },
      forward: {
        buffers: { out, logSums: { shape: [batch, heads, tokens], dtype: "float32" } },
        steps: [
          {
            kernel: loadKernel("attention", "attention", device, constants),
            ...{ grid: [batch * heads], block: [128 * groups], shared: 3 * partBytes },
            args: ["all", "bias", "cos", "sin", "out", "logSums", scale],
          },
        ],
      },
      outputs: ["out"],
      backward: {
        buffers: {
          gradient: { shape, dtype },
          parts: { shape: [batch * groups, columns], dtype: "float32" },
          sums: { shape: [columns], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel("attention-backward", "attention_backward", device, constants),
            grid: [Math.min(batch * heads, deviceTraits(device).multiprocessors)],
            block: [128 * (groups + 1)], // four warps load
            shared: 6 * partBytes + sumBytes + 8 * (rows / keys + 5),
            args: [
              ...["d.out", "all", "bias", "cos", "sin", "out", "logSums", "gradient", "parts"],
              ...[scale, int(batch * heads)],
            ],
          },
          columnSum(device, { parts: "parts", sums: "sums", count: batch * groups, columns }),
        ],
      },
      gradients: { all: "gradient", bias: "sums" },
    };
  });
}
