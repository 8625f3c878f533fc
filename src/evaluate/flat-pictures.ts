// Pictures of one colour through a model: where nothing is to be drawn, a grid at the patch period stands out.

import { type GridScore, gridScore } from "../metrics/artefacts.js";
import { foldFrames } from "../perceptual/frames.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import { cat, scope } from "../torch/index.js";
import type { ReconstructionPass } from "./reconstruction-pass.js";

/** Away from the ends of the range, where clamping would hide the grid. */
const colours = [
  [128, 128, 128],
  [64, 64, 64],
  [192, 192, 192],
  [192, 64, 64],
  [64, 192, 64],
  [64, 64, 192],
] as const;

/** The grid score at the patch period, of flat pictures of about `size` pixels a side, before rounding. */
export function scoreGrid(
  pass: Pick<ReconstructionPass, "reconstruct">,
  { size, config }: { size: number; config: AutoEncoder["config"] },
): GridScore {
  const { patchSize, tubeletSize: frames } = config;
  const side = Math.max(2, Math.floor(size / patchSize)) * patchSize;
  return scope(() => {
    const recons = colours.map((colour, index) => {
      const bytes = new Uint8Array(frames * side * side * 3).map((_, i) => colour[i % 3]!);
      const { pixels } = pass.reconstruct({
        ...{ bytes, shape: [1, frames, side, side, 3], indices: [index] },
      });
      return foldFrames(pixels.add(1).mul(127.5));
    });
    return gridScore(cat(recons), patchSize);
  });
}
