// silu(gate) * value of the two halves of one product, its bias added on the way: 3 numbers moved for each of the output
// where plain operators move 7 (and 9 for the bias's gradient alone, which is summed here in passing).
import {
  deviceTraits,
  int,
  type Layout,
  loadKernel,
  type Plan,
  planFor,
  type Tensor,
} from "../../torch/index.js";
import type { Linear } from "../linear.js";
import { oneDnnLinear, packedRows, suitsOneDnn } from "../one-dnn.js";
import { bitsOf, suitsKernels } from "./choose.js";
import { columnSum } from "./column-sum.js";
import { gatedSiluQuantised } from "./quantised-rows.js";

/** x [..., D] through a linear of 2 M outputs, gate then value -> [..., M]; in 8 bits where kernels run and `isQuantised` */
export function gatedSilu(x: Tensor, linear: Linear, isQuantised = false): Tensor {
  if (linear.bias.size(0) % 16 !== 0 || !suitsKernels(x, linear.bias))
    return gatedSiluTwin(x, linear);
  const both = linear.product(x);
  if (isQuantised) return gatedSiluQuantised(both, linear.bias);
  return planOf(both, linear.bias).run(both, linear.bias)[0]!;
}

export function gatedSiluTwin(x: Tensor, linear: Linear): Tensor {
  const { weight, bias } = linear;
  if (!suitsOneDnn(x, weight)) {
    const [gate, value] = linear.forward(x).chunk(2, -1) as [Tensor, Tensor];
    return gate.silu().mul(value);
  }
  const [gateWeight, valueWeight] = packedRows(weight, 2) as [Tensor, Tensor];
  const [gateBias, valueBias] = bias.chunk(2, 0) as [Tensor, Tensor];
  const times = oneDnnLinear(x, gateWeight, gateBias, { silu: true });
  return oneDnnLinear(x, valueWeight, valueBias, { times });
}

function planOf(both: Tensor, bias: Tensor): Plan {
  const { shape, dtype, device } = both;
  return planFor(`gated-silu ${shape} ${dtype} ${bias.dtype} ${device}`, () => {
    const width = shape.at(-1)! / 2;
    const rows = both.numel / (2 * width);
    // A thread keeps eight columns and walks down the rows.
    const groups = width / 8;
    const across = Math.min(groups, 256);
    const down = Math.max(1, Math.floor(256 / across));
    const blocksAcross = Math.ceil(groups / across);
    const { multiprocessors } = deviceTraits(device);
    const blocksDown = (resident: number) =>
      Math.max(
        1,
        Math.min(Math.ceil(rows / down), Math.floor((resident * multiprocessors) / blocksAcross)),
      );
    const constants = { M: width, THREADS: across * down, ...bitsOf(both, bias) };
    const block = [across, down] as const;
    const parts = blocksDown(3) * down;
    const whole: Layout = { shape, dtype };
    const half: Layout = { shape: shape.with(-1, width), dtype };
    return {
      inputs: { both: whole, bias: { shape: [2 * width], dtype: bias.dtype } },
      forward: {
        buffers: { out: half },
        steps: [
          {
            kernel: loadKernel("gated-silu", "gated_silu", device, constants),
            ...{ grid: [blocksDown(5), blocksAcross], block },
            args: ["both", "bias", "out", int(rows)],
          },
        ],
      },
      outputs: ["out"],
      backward: {
        buffers: {
          gradient: whole,
          parts: { shape: [parts, 2 * width], dtype: "float32" },
          sums: { shape: [2 * width], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel("gated-silu", "gated_silu_backward", device, constants),
            ...{ grid: [blocksDown(3), blocksAcross], block },
            args: ["d.out", "both", "bias", "gradient", "parts", int(rows)],
          },
          columnSum(device, { parts: "parts", sums: "sums", count: parts, columns: 2 * width }),
        ],
      },
      gradients: { both: "gradient", bias: "sums" },
    };
  });
}
