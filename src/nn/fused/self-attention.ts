// Self-attention of few tokens, from the product of queries, keys and values to what the heads attended to: bias, rotary turn,
// softmax and both products in one kernel, and one for the way back. What lies between never meets the GPU's memory.
import {
  deviceTraits,
  float,
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
import { rotatedHeadsTwin, rotateProduct } from "./rotated-heads.js";

/** More tokens do not fit in a multiprocessor's shared memory, with their gradients. */
const mostTokens = 256;
/** Off: its present form, of twice the warps, agrees in the emulator and has not run on a GPU yet. */
let limit = 0;

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
  const all = linear.product(x);
  if (!fitsKernel(all, heads)) return attend(rotateProduct(all, bias, rope, heads));
  return planOf(all, bias, heads).run(all, bias, rope.cos, rope.sin)[0]!;
}

/** Three [B, heads, N, headDim] -> [B, N, D], by libtorch's choice of kernel. */
function attend([q, k, v]: readonly [Tensor, Tensor, Tensor]): Tensor {
  return scaledDotProductAttention(q, k, v).transpose(1, 2).flatten(2);
}

function fitsKernel(all: Tensor, heads: number): boolean {
  const headDim = all.size(-1) / 3 / heads;
  const { capability } = deviceTraits(all.device);
  if (capability < 90 || capability >= 120) return false; // others have less shared memory than 227 KiB
  return all.dtype === "bfloat16" && all.size(1) <= limit && (headDim === 32 || headDim === 64);
}

const keys = 64; // that the kernels look at together

function planOf(all: Tensor, bias: Tensor, heads: number): Plan {
  const { shape, dtype, device } = all;
  return planFor(`self-attention ${shape} ${heads} ${bias.dtype} ${device}`, () => {
    const [batch, tokens, columns] = shape as [number, number, number];
    const headDim = columns / 3 / heads;
    const constants = { N: tokens, H: heads, W: headDim, ...bitsOf(all, bias) };
    const rows = Math.ceil(tokens / keys) * keys;
    const rowBytes = 2 * (headDim + 8); // a row begins 16 bytes after the end of the last
    const scale = float(headDim ** -0.5);
    const grid = [batch * heads] as const;
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
            ...{ grid, block: [256], shared: 3 * rows * rowBytes },
            args: ["all", "bias", "cos", "sin", "out", "logSums", scale],
          },
        ],
      },
      outputs: ["out"],
      backward: {
        buffers: {
          gradient: { shape, dtype },
          parts: { shape: [batch, columns], dtype: "float32" },
          sums: { shape: [columns], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel("attention-backward", "attention_backward", device, constants),
            ...{ grid, block: [512] },
            shared: rows * (4 * rowBytes + 2 * 2 * (keys + 8) + 2 * 4) + 2 * 16 * headDim * 4,
            args: [
              ...["d.out", "all", "bias", "cos", "sin", "out", "logSums", "gradient", "parts"],
              scale,
            ],
          },
          columnSum(device, { parts: "parts", sums: "sums", count: batch, columns }),
        ],
      },
      gradients: { all: "gradient", bias: "sums" },
    };
  });
}
