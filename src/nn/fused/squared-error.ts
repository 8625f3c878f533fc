// Mean squared error of float32 tensors in one pass each way. The twin is libtorch's mse_loss.
import { call, float, int, loadKernel, planFor, type Tensor } from "../../torch/index.js";
import { suitsKernels } from "./choose.js";
import { overGroups } from "./passes.js";

const meanReduction = 1; // at::Reduction::Mean

/** x, y of one shape, float32 -> one number; gradient to x, and to y where the twin runs. */
export function squaredError(x: Tensor, y: Tensor): Tensor {
  const suits = suitsKernels(x, y) && x.dtype === "float32" && y.dtype === "float32";
  if (!suits || y.requiresGrad || x.numel % 8 !== 0) return call("mse_loss", x, y, meanReduction);
  const { shape, device } = x;
  const plan = planFor(`squared-error ${shape} ${device}`, () => {
    const groups = x.numel / 8;
    const { blocks, size } = overGroups(device, groups);
    const full = { shape, dtype: "float32" } as const;
    const scalars = [int(groups), float(1 / x.numel)];
    const kernel = (name: string) => loadKernel("squared-error", name, device);
    return {
      inputs: { x: full, y: full },
      forward: {
        buffers: { parts: { shape: [blocks], dtype: "float32" } },
        steps: [
          { kernel: kernel("squared_error"), ...size, args: ["x", "y", "parts", ...scalars] },
        ],
      },
      outputs: ["parts"],
      backward: {
        buffers: { gradient: full },
        steps: [
          {
            kernel: kernel("squared_error_backward"),
            ...size,
            args: ["d.parts", "x", "y", "gradient", ...scalars],
          },
        ],
      },
      gradients: { x: "gradient" },
    };
  });
  return plan.run(x, y)[0]!.sum();
}
