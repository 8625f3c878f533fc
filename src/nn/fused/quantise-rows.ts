// Rows of numbers as 8-bit floats and a scale a row, in one pass: what 8-bit matrix products multiply. The twin is a few of
// libtorch's operators.
import {
  deviceTraits,
  int,
  loadKernel,
  type Plan,
  planFor,
  type Tensor,
} from "../../torch/index.js";
import { bitsOf, suitsKernels } from "./choose.js";

/** The largest number of e4m3. */
const largest = 448;

/** values times scales are the rows, to 4 significant bits. */
export interface Quantised {
  /** float8 [M, K] */
  readonly values: Tensor;
  /** float32 [M, 1] */
  readonly scales: Tensor;
}

const known = new WeakMap<Tensor, Tensor>();

/** Lets a kernel's 8-bit numbers pass for the tensor they stand for: products find the scales again, as long as these live. */
export function withScales(values: Tensor, scales: Tensor): Tensor {
  known.set(values, scales);
  return values;
}

/** What withScales() gave x. */
export const scalesOf = (x: Tensor): Tensor | undefined => known.get(x);

/** Products of 8 bits read scales for whole tiles of rows, more than there are. */
export const paddedRows = (rows: number): number => Math.ceil(rows / 256) * 256;

/** x [..., K] as rows [M, K], each divided by a scale that takes its largest to 448; or what withScales() gave. */
export function quantiseRows(x: Tensor): Quantised {
  const given = scalesOf(x);
  if (given) return { values: x.view([-1, x.size(-1)]), scales: ofRows(given, x) };
  const rows = x.contiguous().view([-1, x.size(-1)]);
  if (rows.size(1) % 8 !== 0 || !suitsKernels(rows)) return quantiseRowsTwin(rows);
  const [values, scales] = planOf(rows).run(rows) as [Tensor, Tensor];
  return { values, scales: ofRows(scales, rows) };
}

const ofRows = (scales: Tensor, x: Tensor): Tensor => scales.narrow(0, 0, x.numel / x.size(-1));

export function quantiseRowsTwin(rows: Tensor): Quantised {
  const wide = rows.to({ dtype: "float32" });
  const scales = wide.abs().amax([1], true).clamp(1e-12).div(largest);
  return { values: wide.div(scales).to({ dtype: "float8" }), scales };
}

function planOf(x: Tensor): Plan {
  const { shape, dtype, device } = x;
  return planFor(`quantise-rows ${shape} ${dtype} ${device}`, () => {
    const [rows, width] = shape as [number, number];
    const most = 16 * deviceTraits(device).multiprocessors;
    const constants = { K: width, ...bitsOf(x) };
    return {
      inputs: { x: { shape, dtype } },
      forward: {
        buffers: {
          values: { shape, dtype: "float8" },
          scales: { shape: [paddedRows(rows), 1], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel("quantise-rows", "quantise_rows", device, constants),
            ...{ grid: [Math.max(1, Math.min(Math.ceil(rows / 4), most))], block: [128] },
            args: ["x", "values", "scales", int(rows)],
          },
        ],
      },
      outputs: ["values", "scales"],
    };
  });
}
