// Mean squared error against pixels or bytes in one pass each way. The twin is libtorch's mse_loss.
import {
  call,
  float,
  int,
  type Layout,
  loadKernel,
  type Plan,
  planFor,
  type Tensor,
} from "../../torch/index.js";
import { suitsBytes, suitsKernels } from "./choose.js";
import { overGroups } from "./passes.js";
import { coloursLast, hasPlanes, toPixels } from "./pixels.js";

const meanReduction = 1; // at::Reduction::Mean

/**
 * x, y of one shape -> one number; x float32, y float32 or, of [B, 3, T, H, W], uint8, which stands for pixels as toPixels()
 * makes them. Gradient to x, and to y where the twin runs.
 */
export function squaredError(x: Tensor, y: Tensor): Tensor {
  if (!suitsKernels(x) || x.dtype !== "float32") return squaredErrorTwin(x, y);
  if (suitsBytes(y) && hasPlanes(y)) return planOf(x, "uint8").run(x, coloursLast(y))[0]!.sum();
  const suits = suitsKernels(y) && y.dtype === "float32" && !y.requiresGrad && x.numel % 8 === 0;
  return suits ? planOf(x, "float32").run(x, y)[0]!.sum() : squaredErrorTwin(x, y);
}

function squaredErrorTwin(x: Tensor, y: Tensor): Tensor {
  return call("mse_loss", x, toPixels(y), meanReduction);
}

function planOf({ shape, numel, device }: Tensor, dtype: "float32" | "uint8"): Plan {
  return planFor(`squared-error ${shape} ${dtype} ${device}`, () => {
    const isBytes = dtype === "uint8";
    const [batch = 1, colours = 1, ...sides] = shape;
    const groups = numel / (isBytes ? 12 : 8);
    const { blocks, size } = overGroups(device, groups);
    const full: Layout = { shape, dtype: "float32" };
    const target: Layout = isBytes ? { shape: [batch, ...sides, colours], dtype } : full;
    const places = isBytes ? [int(numel / batch / colours)] : [];
    const scalars = [int(groups), ...places, float(1 / numel)];
    const name = isBytes ? "squared_error_bytes" : "squared_error";
    const kernel = (suffix = "") => loadKernel("squared-error", name + suffix, device);
    return {
      inputs: { x: full, y: target },
      forward: {
        buffers: { parts: { shape: [blocks], dtype: "float32" } },
        steps: [{ kernel: kernel(), ...size, args: ["x", "y", "parts", ...scalars] }],
      },
      outputs: ["parts"],
      backward: {
        buffers: { gradient: full },
        steps: [
          {
            kernel: kernel("_backward"),
            ...size,
            args: ["d.parts", "x", "y", "gradient", ...scalars],
          },
        ],
      },
      gradients: { x: "gradient" },
    };
  });
}
