// adaLN-Zero in one pass over memory: a residual sum whose branch is gated, and a norm that is shifted and scaled, by vectors of
// each sample. The twin is a few operators of libtorch; add-norm.ts is the same for vectors of the layer.
import {
  deviceTraits,
  float,
  int,
  type Layout,
  layerNorm,
  loadKernel,
  type Plan,
  planFor,
  type Tensor,
} from "../../torch/index.js";
import type { Branch } from "./add-norm.js";
import { bitsOf, suitsKernels } from "./choose.js";

/** Of each sample, [B, 1, D]. */
export interface Modulation {
  readonly shift: Tensor;
  readonly scale: Tensor;
}

/** The stream x + gate (branch.linear(branch.x)), a sum that is made together with the next norm. */
export interface GatedStream {
  readonly x: Tensor; // [B, N, D]
  readonly branch?: Branch & { readonly gate: Tensor };
}

const eps = 1e-6;

/** The stream's sum [B, N, D], and norm(sum) (1 + scale) + shift; the norm has no weights of its own. */
export function modulate(stream: GatedStream, modulation: Modulation): [Tensor, Tensor] {
  const { x, branch } = stream;
  const { shift, scale } = modulation;
  const vectors = [shift, scale, ...(branch ? [branch.gate] : [])];
  const suits =
    x.size(-1) % 8 === 0 &&
    suitsKernels(x, ...(branch ? [branch.linear.bias] : [])) &&
    vectors.every(({ dtype }) => dtype === x.dtype);
  if (!suits) return modulateTwin(stream, modulation);
  if (!branch) return [x, planOf(x, undefined).run(x, shift, scale)[0]!];
  const { gate, linear } = branch;
  const y = linear.product(branch.x).to({ dtype: x.dtype });
  return planOf(x, linear.bias).run(x, y, linear.bias, gate, shift, scale) as [Tensor, Tensor];
}

export function modulateTwin(stream: GatedStream, { shift, scale }: Modulation): [Tensor, Tensor] {
  const sum = gatedSum(stream);
  const normed = layerNorm(sum, [sum.size(-1)], undefined, undefined, eps);
  return [sum, shift.addcmul(normed, scale.add(1))];
}

/** The sum without a norm. */
export function gatedSum({ x, branch }: GatedStream): Tensor {
  return branch ? x.addcmul(branch.gate, branch.linear.forward(branch.x)) : x;
}

function planOf(x: Tensor, bias: Tensor | undefined): Plan {
  const { shape, dtype, device } = x;
  const key = `modulate ${shape} ${dtype} ${bias?.dtype} ${device}`;
  return planFor(key, () => {
    const [batch, tokens, width] = shape as [number, number, number];
    const hasBranch = bias !== undefined;
    const kinds = hasBranch ? 4 : 2;
    const constants = { D: width, N: tokens, HAS_BRANCH: Number(hasBranch), ...bitsOf(x, bias) };
    const { multiprocessors } = deviceTraits(device);
    const rows = batch * tokens;
    // Parts of a sample, each at least the four rows that a block looks at together.
    const parts = Math.max(
      1,
      Math.min(Math.ceil(tokens / 4), Math.ceil((8 * multiprocessors) / batch)),
    );
    const full: Layout = { shape, dtype };
    const vector: Layout = { shape: [batch, 1, width], dtype };
    const statistics: Layout = { shape: [rows], dtype: "float32" };
    const select = (index: number, name: string) => ({
      operator: "select.int",
      args: ["sums", 2, index],
      results: [name],
    });
    const branch = <T>(items: readonly T[]) => (hasBranch ? items : []);
    return {
      inputs: {
        x: full,
        ...(hasBranch
          ? { y: full, bias: { shape: [width], dtype: bias.dtype }, gate: vector }
          : {}),
        ...{ shift: vector, scale: vector },
      },
      forward: {
        buffers: {
          ...(hasBranch ? { sum: full } : {}),
          ...{ normed: full, mean: statistics, deviation: statistics },
        },
        steps: [
          {
            kernel: loadKernel("modulate", "modulate", device, constants),
            grid: [Math.max(1, Math.min(Math.ceil(rows / 4), 8 * multiprocessors))],
            block: [128],
            args: [
              ...(hasBranch ? ["x", "y", "bias", "gate"] : ["x", "x", "x", "x"]), // without a branch: not read
              ...["shift", "scale", hasBranch ? "sum" : "normed", "normed", "mean", "deviation"],
              ...[int(rows), float(eps)],
            ],
          },
        ],
      },
      outputs: [...branch(["sum"]), "normed"],
      backward: {
        buffers: {
          gradient: full,
          ...(hasBranch ? { "d.y": full } : {}),
          parts: { shape: [batch, parts, kinds, width], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel("modulate", "modulate_backward", device, constants),
            grid: [parts, batch],
            block: [Math.ceil(width / 8 / 32) * 32],
            args: [
              ...["d.normed", hasBranch ? "d.sum" : "d.normed", hasBranch ? "sum" : "x"],
              ...(hasBranch ? ["y", "bias", "gate"] : ["x", "x", "x"]),
              ...["scale", "mean", "deviation", "gradient", hasBranch ? "d.y" : "gradient"],
              "parts",
            ],
          },
          {
            operator: "sum.dim_IntList", // [B, 1, kinds, D]
            args: ["parts", [1], true, null],
            results: ["sums"],
          },
          select(0, "d.shift"),
          select(1, "d.scale"),
          ...branch([
            select(2, "d.gate"),
            select(3, "d.biases"),
            {
              operator: "sum.dim_IntList",
              args: ["d.biases", [0, 1], false, null],
              results: ["d.bias"],
            },
          ]),
        ],
      },
      gradients: {
        ...{ x: "gradient", shift: "d.shift", scale: "d.scale" },
        ...(hasBranch ? { y: "d.y", bias: "d.bias", gate: "d.gate" } : {}),
      },
    };
  });
}
