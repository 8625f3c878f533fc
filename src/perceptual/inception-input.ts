// How pixels become Inception's input, 299 x 299: three public ways that give three different FIDs. Spec section 5.
import { suitsKernels } from "../nn/fused/choose.js";
import { overGroups } from "../nn/fused/passes.js";
import { empty, int, interpolate, launch, loadKernel, Tensor } from "../torch/index.js";

export type InceptionProtocol = "tensorflow" | "pytorch" | "align-corners";

const side = 299; // pixels

interface Input {
  /** in words, for the passport of a score */
  readonly title: string;
  /** float32 pixels 0..255 [N, 3, H, W] -> [N, 3, 299, 299] in [-1, 1] */
  prepare(pixels: Tensor): Tensor;
}

const toUnit = (pixels: Tensor): Tensor => pixels.div(127.5).sub(1);
const size = [side, side] as const;
const mostPictures = 4096; // whose numbers 32 bits count

export const inceptionInputs: Record<InceptionProtocol, Input> = {
  tensorflow: {
    title: "299 x 299 bilinear as TensorFlow 1, (x - 128) / 128",
    prepare: (pixels) =>
      suitsKernels(pixels) && pixels.size(0) < mostPictures
        ? resizeByKernel(pixels)
        : resizeAsTensorFlow(pixels).sub(128).div(128),
  },
  pytorch: {
    title: "299 x 299 bilinear, half-pixel, x / 127.5 - 1",
    prepare: (pixels) => toUnit(interpolate(pixels, { size, mode: "bilinear" })),
  },
  "align-corners": {
    title: "299 x 299 bilinear, align_corners, x / 127.5 - 1",
    prepare: (pixels) =>
      toUnit(interpolate(pixels, { size, mode: "bilinear", alignCorners: true })),
  },
};

/** Output pixel i lies at i * size / 299 of the input: half a pixel up and left of where it should. */
function resizeAsTensorFlow(pixels: Tensor): Tensor {
  return [3, 2].reduce((x, dim) => {
    const { before, after, weight } = neighbours(x, dim);
    const left = x.indexSelect(dim, before);
    return left.add(x.indexSelect(dim, after).sub(left).mul(weight));
  }, pixels);
}

/** The same in one pass, with what follows. */
function resizeByKernel(pixels: Tensor): Tensor {
  const [count, channels, height, width] = pixels.shape as [number, number, number, number];
  const { device } = pixels;
  const out = empty([count, channels, side, side], { device });
  const [rows, columns] = [2, 3].map((dim) => neighbours(pixels, dim));
  const kernel = loadKernel("resize", "resize", device, { SIDE: side });
  launch(kernel, overGroups(device, out.numel / 8).size, [
    ...[pixels.contiguous(), rows!.before, rows!.weight, columns!.before, columns!.weight, out],
    ...[out.numel, height, width].map(int),
  ]);
  return out;
}

/** Along one dimension: the two input pixels of each output pixel, and how far it is to the second. */
function neighbours(x: Tensor, dim: number): { before: Tensor; after: Tensor; weight: Tensor } {
  const last = x.size(dim) - 1;
  const scale = Math.fround(x.size(dim) / side);
  const positions = Array.from({ length: side }, (_, i) => Math.fround(i * scale));
  const floors = positions.map(Math.floor);
  const { device } = x;
  return {
    before: Tensor.from(Int32Array.from(floors), [side], { device }),
    after: Tensor.from(
      Int32Array.from(floors, (i) => Math.min(i + 1, last)),
      [side],
      { device },
    ),
    weight: Tensor.from(
      positions.map((position, i) => position - floors[i]!),
      dim === 3 ? [side] : [side, 1],
      { device },
    ),
  };
}
