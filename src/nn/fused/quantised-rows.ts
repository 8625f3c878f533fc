// Passes of a block that leave rows of 8 bits for the product that follows, where nothing learns: sum and norm, and the gate. A byte
// a number is written where two would be, and quantise-rows.ts need not read them again. The twins are add-norm.ts's and
// gated-silu.ts's, whose rows are quantised by the product.
import {
  type DType,
  deviceTraits,
  float,
  int,
  type Layout,
  loadKernel,
  type Plan,
  planFor,
  type Tensor,
} from "../../torch/index.js";
import type { LayerNorm } from "../norm.js";
import { bitsOf } from "./choose.js";
import { paddedRows, withScales } from "./quantise-rows.js";

/** x [B, N, D], and where there is one a branch's product of that shape with its bias -> their sum, and its norm in 8 bits */
export function addNormQuantised(
  x: Tensor,
  branch: readonly [product: Tensor, bias: Tensor] | undefined,
  norm: LayerNorm,
): [sum: Tensor, normed: Tensor] {
  const made = normPlan(x, norm, branch !== undefined).run(
    ...[x, ...(branch ?? []), norm.weight, norm.bias],
  );
  const [sum, normed, scales] = (branch ? made : [x, ...made]) as [Tensor, Tensor, Tensor];
  return [sum, withScales(normed, scales)];
}

/** both [..., 2 M], gate then value, without their bias -> [..., M] in 8 bits */
export function gatedSiluQuantised(both: Tensor, bias: Tensor): Tensor {
  const [gated, scales] = gatePlan(both, bias).run(both, bias) as [Tensor, Tensor];
  return withScales(gated, scales);
}

/** A warp a row, four a block. */
const overRows = (rows: number, device: string, resident: number) => ({
  grid: [
    Math.max(1, Math.min(Math.ceil(rows / 4), resident * deviceTraits(device).multiprocessors)),
  ] as const,
  block: [128] as const,
});

const rowsOf = (x: Tensor) => x.numel / x.size(-1);
const scalesOf = (rows: number): Layout => ({ shape: [paddedRows(rows), 1], dtype: "float32" });
const float8: DType = "float8";

function normPlan(x: Tensor, { weight, eps }: LayerNorm, hasBranch: boolean): Plan {
  const { shape, dtype, device } = x;
  const key = `quantised-norm ${shape} ${dtype} ${weight.dtype} ${eps} ${hasBranch} ${device}`;
  return planFor(key, () => {
    const rows = rowsOf(x);
    const constants = {
      ...{ D: x.size(-1), HAS_BRANCH: Number(hasBranch), QUANTISED: 1 },
      ...bitsOf(x, weight),
    };
    const full: Layout = { shape, dtype };
    const vector: Layout = { shape: weight.shape, dtype: weight.dtype };
    const statistics: Layout = { shape: [rows], dtype: "float32" };
    return {
      inputs: {
        x: full,
        ...(hasBranch ? { y: full, branchBias: vector } : {}),
        ...{ weight: vector, bias: vector },
      },
      forward: {
        buffers: {
          ...(hasBranch ? { sum: full } : {}),
          ...{ normed: { shape, dtype: float8 }, scales: scalesOf(rows) },
          ...{ mean: statistics, deviation: statistics },
        },
        steps: [
          {
            kernel: loadKernel("add-norm", "add_norm", device, constants),
            ...overRows(rows, device, 8),
            args: [
              ...(hasBranch ? ["x", "y", "branchBias"] : ["x", "x", "bias"]), // without a branch: not read
              ...["weight", "bias", hasBranch ? "sum" : "normed", "normed", "scales"],
              ...["mean", "deviation", "mean", int(rows), float(eps)],
            ],
          },
        ],
      },
      outputs: [...(hasBranch ? ["sum"] : []), "normed", "scales"],
    };
  });
}

function gatePlan(both: Tensor, bias: Tensor): Plan {
  const { shape, dtype, device } = both;
  return planFor(`quantised-gate ${shape} ${dtype} ${bias.dtype} ${device}`, () => {
    const rows = rowsOf(both);
    const width = both.size(-1) / 2;
    const constants = { M: width, ...bitsOf(both, bias) };
    return {
      inputs: { both: { shape, dtype }, bias: { shape: [2 * width], dtype: bias.dtype } },
      forward: {
        buffers: {
          gated: { shape: shape.with(-1, width), dtype: float8 },
          scales: scalesOf(rows),
        },
        steps: [
          {
            kernel: loadKernel("gated-silu-rows", "gated_silu_rows", device, constants),
            ...overRows(rows, device, 8),
            args: ["both", "bias", "gated", "scales", int(rows)],
          },
        ],
      },
      outputs: ["gated", "scales"],
    };
  });
}
