// Pixels, or bytes that become pixels on the way, cut into boxes and put together again in one pass each, between float32 pixels
// (or, cut, the model's dtype) and the model's dtype. The twins are patchify and unpatchify of tubelet.ts, which chooses.
import { bitsOf, suitsBytes, suitsKernels } from "../nn/fused/choose.js";
import { columnSum } from "../nn/fused/column-sum.js";
import { overGroups } from "../nn/fused/passes.js";
import { coloursLast } from "../nn/fused/pixels.js";
import type { Grid } from "../nn/rope.js";
import { type DType, int, type Layout, loadKernel, planFor, type Tensor } from "../torch/index.js";
import type { TubeletSize } from "./tubelet.js";

/** What cuts pixels of a dtype into boxes of another. */
const cutterOf = (given: DType, dtype: DType): string | undefined => {
  if (given === "uint8") return "cut_bytes";
  if (given === "float32") return "cut_boxes";
  return given === dtype ? "cut_elements" : undefined;
};

/** Whether cutBoxes() may run: a GPU, bytes or pixels without gradient, a patch side that is a multiple of 8. */
export function suitsCut(pixels: Tensor, { p }: TubeletSize, dtype: DType): boolean {
  if (p % 8 !== 0 || (dtype !== "bfloat16" && dtype !== "float32")) return false;
  if (!cutterOf(pixels.dtype, dtype) || pixels.requiresGrad) return false;
  return suitsBytes(pixels) || suitsKernels(pixels);
}

/** pixels [B, 3, T, H, W] in [-1, 1], or bytes of that shape as batch.ts gives them -> boxes [B, N, 3qpp] of a dtype */
export function cutBoxes(pixels: Tensor, size: TubeletSize, dtype: DType): Tensor {
  const [b, c, frames, height, width] = pixels.shape as [number, number, number, number, number];
  const { q, p } = size;
  const { device, dtype: kind } = pixels;
  const isBytes = kind === "uint8";
  const given = isBytes ? coloursLast(pixels) : pixels;
  const plan = planFor(`cut-boxes ${pixels.shape} ${kind} ${q} ${p} ${dtype} ${device}`, () => {
    const [t, h, w] = [frames / q, height / p, width / p];
    const groups = pixels.numel / (isBytes ? 24 : 8);
    const constants = { Q: q, P: p, ELEMENT_BITS: dtype === "bfloat16" ? 16 : 32 };
    return {
      inputs: { pixels: { shape: given.shape, dtype: kind } },
      forward: {
        buffers: { boxes: { shape: [b, t * h * w, c * q * p * p], dtype } },
        steps: [
          {
            kernel: loadKernel("boxes", cutterOf(kind, dtype)!, device, constants),
            ...overGroups(device, groups).size,
            args: ["pixels", "boxes", int(groups), int(t), int(h), int(w)],
          },
        ],
      },
      outputs: ["boxes"],
    };
  });
  return plan.run(given)[0]!;
}

/** Whether joinBoxes() may run on boxes of x's dtype. */
export function suitsJoin(x: Tensor, bias: Tensor, { p }: TubeletSize): boolean {
  return p % 8 === 0 && suitsKernels(x, bias);
}

/** boxes [B, N, 3qpp] without their bias [3] -> pixels [B, 3, T, H, W], float32 */
export function joinBoxes(boxes: Tensor, bias: Tensor, grid: Grid, size: TubeletSize): Tensor {
  const { q, p } = size;
  const { t, h, w } = grid;
  const { device, dtype, shape } = boxes;
  const key = `join-boxes ${shape} ${t} ${h} ${w} ${q} ${p} ${dtype} ${bias.dtype} ${device}`;
  const plan = planFor(key, () => {
    const groups = boxes.numel / 8;
    const quads = boxes.numel / 4;
    const { blocks, size: launchSize } = overGroups(device, groups);
    const constants = { Q: q, P: p, ...bitsOf(boxes, bias) };
    const sizes = [int(t), int(h), int(w)];
    const full: Layout = { shape, dtype };
    const pixels: Layout = { shape: [shape[0]!, 3, t * q, h * p, w * p], dtype: "float32" };
    return {
      inputs: { boxes: full, bias: { shape: [3], dtype: bias.dtype } },
      forward: {
        buffers: { pixels },
        steps: [
          {
            kernel: loadKernel("boxes", "join_boxes", device, constants),
            ...overGroups(device, quads).size,
            args: ["boxes", "bias", "pixels", int(quads), ...sizes],
          },
        ],
      },
      outputs: ["pixels"],
      backward: {
        buffers: {
          gradient: full,
          parts: { shape: [blocks, 3], dtype: "float32" },
          sums: { shape: [3], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel("boxes", "join_boxes_backward", device, constants),
            ...launchSize,
            args: ["d.pixels", "gradient", "parts", int(groups), ...sizes],
          },
          columnSum(device, { parts: "parts", sums: "sums", count: blocks, columns: 3 }),
        ],
      },
      gradients: { boxes: "gradient", bias: "sums" },
    };
  });
  return plan.run(boxes, bias)[0]!;
}
