// A residual sum and the norm that follows it, in one pass over memory. Forward 4 numbers move for each element where plain
// operators move 7, backward 4 where they move 9; the gradients of bias and norm are summed on the way.
import {
  deviceTraits,
  float,
  int,
  type Layout,
  loadKernel,
  type Plan,
  planFor,
  type Tensor,
} from "../../torch/index.js";
import type { Linear } from "../linear.js";
import type { LayerNorm } from "../norm.js";
import { bitsOf, suitsKernels } from "./choose.js";
import { columnSum } from "./column-sum.js";
import { addNormQuantised } from "./quantised-rows.js";

/** A branch of a block whose last product is still to be made: linear(x). */
export interface Branch {
  readonly x: Tensor;
  readonly linear: Linear;
  /** Of 8-bit rows x: named here so that it lives as long as they do. */
  readonly scales?: Tensor | undefined;
}

/** The residual stream: x + branch.linear(branch.x), a sum that is made together with the next norm. */
export interface Stream {
  readonly x: Tensor; // [B, N, D]
  readonly branch?: Branch;
}

/** The stream's sum [B, N, D], and its norm; in 8 bits where kernels run and `isQuantised`: for products that are. */
export function addNorm(
  stream: Stream,
  norm: LayerNorm,
  { isQuantised = false } = {},
): [sum: Tensor, normed: Tensor] {
  if (!suitsAddNorm(stream, norm)) return addNormTwin(stream, norm);
  const { x } = stream;
  const added = addedTo(stream);
  if (isQuantised) return addNormQuantised(x, added, norm);
  const plan = planOf(x, norm, { hasBranch: added !== undefined, hasSum: true });
  return plan.run(x, ...(added ?? []), norm.weight, norm.bias) as [Tensor, Tensor];
}

/** The norm of the stream's sum, which goes nowhere else. */
export function lastNorm(stream: Stream, norm: LayerNorm): Tensor {
  if (!suitsAddNorm(stream, norm)) return addNormTwin(stream, norm)[1];
  const { x } = stream;
  const added = addedTo(stream);
  const plan = planOf(x, norm, { hasBranch: added !== undefined, hasSum: false });
  return plan.run(x, ...(added ?? []), norm.weight, norm.bias)[0]!;
}

function suitsAddNorm({ x, branch }: Stream, { weight, bias }: LayerNorm): boolean {
  const vectors = [weight, bias, ...(branch ? [branch.linear.bias] : [])];
  return x.size(-1) % 8 === 0 && suitsKernels(x, ...vectors);
}

function addedTo({ x, branch }: Stream): readonly [product: Tensor, bias: Tensor] | undefined {
  if (!branch) return undefined;
  return [branch.linear.product(branch.x).to({ dtype: x.dtype }), branch.linear.bias];
}

export function addNormTwin(stream: Stream, norm: LayerNorm): [sum: Tensor, normed: Tensor] {
  const sum = sumOf(stream);
  return [sum, norm.forward(sum)];
}

/** The sum without a norm. */
export function sumOf({ x, branch }: Stream): Tensor {
  return branch ? x.add(branch.linear.forward(branch.x)) : x;
}

function planOf(
  x: Tensor,
  norm: LayerNorm,
  { hasBranch, hasSum }: { hasBranch: boolean; hasSum: boolean },
): Plan {
  const { shape, dtype, device } = x;
  const key = `add-norm ${shape} ${dtype} ${norm.weight.dtype} ${norm.eps} ${hasBranch} ${hasSum} ${device}`;
  return planFor(key, () => {
    const width = shape.at(-1)!;
    const rows = x.numel / width;
    const kinds = hasBranch ? 3 : 2;
    const constants = {
      ...{ D: width, HAS_BRANCH: Number(hasBranch), HAS_SUM: Number(hasSum) },
      ...bitsOf(x, norm.weight),
    };
    const { multiprocessors } = deviceTraits(device);
    const block = 128; // a warp a row
    const blocks = (resident: number) =>
      Math.max(1, Math.min(Math.ceil(rows / 4), resident * multiprocessors));
    const parts = blocks(width <= 768 && dtype === "bfloat16" ? 3 : 1);
    const full: Layout = { shape, dtype };
    const vector: Layout = { shape: [width], dtype: norm.weight.dtype };
    const statistics: Layout = { shape: [rows], dtype: "float32" };
    const select = (index: number, name: string) => ({
      operator: "select.int",
      args: ["sums", 0, index],
      results: [name],
    });
    return {
      inputs: {
        x: full,
        ...(hasBranch ? { y: full, branchBias: vector } : {}),
        weight: vector,
        bias: vector,
      },
      forward: {
        buffers: {
          ...(hasBranch || hasSum ? { sum: full } : {}),
          ...{ normed: full, mean: statistics, deviation: statistics },
        },
        steps: [
          ...(hasSum && !hasBranch // the stream itself, so that its two gradients meet here
            ? [{ operator: "alias", args: ["x"], results: ["sum"] }]
            : []),
          {
            kernel: loadKernel("add-norm", "add_norm", device, constants),
            grid: [blocks(8)],
            block: [block],
            args: [
              ...(hasBranch ? ["x", "y", "branchBias"] : ["x", "x", "bias"]), // without a branch: not read
              ...["weight", "bias", hasBranch ? "sum" : "normed", "normed", "mean", "deviation"],
              "mean", // where a vector would be pending: not read
              ...[int(rows), float(norm.eps)],
            ],
          },
        ],
      },
      outputs: [...(hasSum ? ["sum"] : []), "normed"],
      backward: {
        buffers: {
          gradient: full,
          parts: { shape: [parts, kinds, width], dtype: "float32" },
          sums: { shape: [kinds, width], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel("add-norm", "add_norm_backward", device, constants),
            grid: [parts],
            block: [block],
            args: [
              ...["d.normed", hasSum ? "d.sum" : "d.normed", hasBranch ? "sum" : "x"],
              ...["mean", "deviation", "weight", "gradient", "parts", int(rows)],
            ],
          },
          columnSum(device, { parts: "parts", sums: "sums", count: parts, columns: kinds * width }),
          select(0, "d.weight"),
          select(1, "d.bias"),
          ...(hasBranch ? [select(2, "d.branchBias")] : []),
        ],
      },
      gradients: {
        x: "gradient",
        weight: "d.weight",
        bias: "d.bias",
        ...(hasBranch ? { y: "gradient", branchBias: "d.branchBias" } : {}),
      },
    };
  });
}
