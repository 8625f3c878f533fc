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

/** More tokens do not fit in a multiprocessor's shared memory, with their gradients. */
const mostTokens = 256;
/** Off: the present forms agree in the emulator and have not run on a GPU yet. */
let limit = 0;

/** "hopper" multiplies by four warps together, "warps" by each alone; one of them goes when both have run on a GPU. */
type Form = "hopper" | "warps";
let form: Form = "hopper";

/** For checks and benchmarks: the kernel takes up to so many tokens. Returns what was set. */
export function setSelfAttention(tokens = mostTokens, chosen: Form = "hopper"): number {
  const before = limit;
  limit = Math.min(tokens, mostTokens);
  form = chosen;
  return before;
}

/** x [B, N, D] through a linear of 3 D outputs, q, k, v -> what the heads attended to, [B, N, D] */
export function selfAttention(x: Tensor, linear: Linear, rope: Rope, heads: number): Tensor {
  const { bias } = linear;
  if (!suitsKernels(x, bias)) return attend(rotatedHeadsTwin(x, linear, rope, heads));
  if (limit < x.size(1) && suitsTurn(x, bias)) return attend(turnedHeads(x, linear, rope, heads));
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
  if (all.dtype !== "bfloat16" || all.size(1) > limit || headDim !== 64) return false;
  return deviceTraits(all.device).capability === 90; // whose words the kernels use
}

const keys = 64; // that the kernels look at together

interface Kernels {
  readonly files: readonly [string, string];
  readonly constants: Readonly<Record<string, number>>;
  readonly block: readonly [number, number];
  /** Bytes, forward and backward, for rows in shared memory. */
  readonly shared: readonly [number, number];
  /** Blocks of the backward pass, and its sums of columns a sample. */
  readonly blocks: number;
  readonly parts: number;
}

function kernelsOf(device: string, heads: number, tokens: number, headDim: number): Kernels {
  const rows = Math.ceil(tokens / keys) * keys;
  if (form === "hopper") {
    const part = 2 * rows * headDim;
    return {
      files: ["hopper-attention", "hopper-attention-backward"],
      constants: {},
      block: [256, 384],
      shared: [3 * part, 6 * part + 2 * 4 * rows + 8 * 3 * headDim * 4 + 8 * (rows / keys + 5)],
      blocks: Math.min(heads, deviceTraits(device).multiprocessors),
      parts: 2,
    };
  }
  const rowBytes = 2 * (headDim + 8); // a row begins 16 bytes after the end of the last
  return {
    files: ["attention", "attention-backward"],
    constants: { W: headDim },
    block: [256, 512],
    shared: [
      3 * rows * rowBytes,
      rows * (4 * rowBytes + 2 * 2 * (keys + 8) + 2 * 4) + 2 * 16 * headDim * 4,
    ],
    blocks: heads,
    parts: 1,
  };
}

function planOf(all: Tensor, bias: Tensor, heads: number): Plan {
  const { shape, dtype, device } = all;
  return planFor(`self-attention ${form} ${shape} ${heads} ${bias.dtype} ${device}`, () => {
    const [batch, tokens, columns] = shape as [number, number, number];
    const headDim = columns / 3 / heads;
    const { files, constants, block, shared, blocks, parts } = kernelsOf(
      device,
      batch * heads,
      tokens,
      headDim,
    );
    const known = { N: tokens, H: heads, ...constants, ...bitsOf(all, bias) };
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
            kernel: loadKernel(files[0], "attention", device, known),
            ...{ grid: [batch * heads], block: [block[0]], shared: shared[0] },
            args: ["all", "bias", "cos", "sin", "out", "logSums", scale],
          },
        ],
      },
      outputs: ["out"],
      backward: {
        buffers: {
          gradient: { shape, dtype },
          parts: { shape: [batch * parts, columns], dtype: "float32" },
          sums: { shape: [columns], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel(files[1], "attention_backward", device, known),
            ...{ grid: [blocks], block: [block[1]], shared: shared[1] },
            args: [
              ...["d.out", "all", "bias", "cos", "sin", "out", "logSums", "gradient", "parts"],
              scale,
              ...(form === "hopper" ? [int(batch * heads)] : []),
            ],
          },
          columnSum(device, { parts: "parts", sums: "sums", count: batch * parts, columns }),
        ],
      },
      gradients: { all: "gradient", bias: "sums" },
    };
  });
}
