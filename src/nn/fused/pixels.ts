// Bytes to pixels, in one pass from bytes as files have them. The twin is three of libtorch's operators.
import { int, loadKernel, planFor, scope, type Tensor } from "../../torch/index.js";
import { suitsBytes } from "./choose.js";
import { overGroups } from "./passes.js";

/**
 * uint8 of any shape to pixels in [-1, 1], float32: x / 127.5 - 1; [B, 3, T, H, W] may lie as [B, T, H, W, 3] in memory. What is
 * no uint8 comes back as it is: pixels already.
 */
export function toPixels(x: Tensor): Tensor {
  if (x.dtype !== "uint8") return x;
  const suits = suitsBytes(x) && hasPlanes(x);
  return scope(() => (suits ? planesOf(x) : toPixelsTwin(x)));
}

function toPixelsTwin(bytes: Tensor): Tensor {
  return bytes.contiguous().to({ dtype: "float32" }).div(127.5).sub(1);
}

/** Whether x is [B, 3, T, H, W], of places that kernels can take four by four. */
export function hasPlanes({ shape }: Tensor): boolean {
  const [, colours, ...sides] = shape;
  return sides.length === 3 && colours === 3 && placesOf(sides) % 4 === 0;
}

const placesOf = (sides: readonly number[]) => sides.reduce((product, side) => product * side, 1);

/** [B, 3, T, H, W] -> [B, T, H, W, 3]; a view, without a copy where it lies so. */
export const coloursLast = (x: Tensor): Tensor => x.permute([0, 2, 3, 4, 1]);

/** [B, T, H, W, 3] -> [B, 3, T, H, W], a view. */
export const coloursFirst = (x: Tensor): Tensor => x.permute([0, 4, 1, 2, 3]);

function planesOf(bytes: Tensor): Tensor {
  const { shape, device } = bytes;
  const given = coloursLast(bytes);
  const plan = planFor(`bytes-to-planes ${shape} ${device}`, () => {
    const groups = bytes.numel / 12;
    return {
      inputs: { bytes: { shape: given.shape, dtype: "uint8" } },
      forward: {
        buffers: { planes: { shape, dtype: "float32" } },
        steps: [
          {
            kernel: loadKernel("planes", "bytes_to_planes", device),
            ...overGroups(device, groups).size,
            args: ["bytes", "planes", int(groups), int(placesOf(shape.slice(2)))],
          },
        ],
      },
      outputs: ["planes"],
    };
  });
  return plan.run(given)[0]!;
}
