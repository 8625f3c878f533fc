// Structural similarity on a GPU in one pass over memory: 8 bytes read a value, where float64 maps of the twin, ssim.ts, move
// about a thousand. Both pictures' windows are made and used within a block of threads.
import { suitsKernels } from "../nn/fused/choose.js";
import { empty, int, launch, loadKernel, type Tensor } from "../torch/index.js";

/** Whether sumsOfSimilarity() may stand in for the twin. */
export const suitsSimilarity = (real: Tensor, fake: Tensor): boolean =>
  [real, fake].every((pictures) => pictures.dtype === "float32" && suitsKernels(pictures));

const windowSize = 11;
const tile = { high: 16, wide: 32 }; // the kernel's kHigh and kWide

/**
 * real, fake float32 [N, C, H, W]; weights of the window float64 [11] -> sums over channels and windows of the similarity and
 * of its second factor, float64 [N, 2]
 */
export function sumsOfSimilarity(
  [real, fake]: readonly [Tensor, Tensor],
  weights: Tensor,
  { isMirrored }: { isMirrored: boolean },
): Tensor {
  const [count, channels, height, width] = real.shape as [number, number, number, number];
  const lost = isMirrored ? 0 : windowSize - 1;
  const down = Math.ceil((height - lost) / tile.high);
  const across = Math.ceil((width - lost) / tile.wide);
  const { device } = real;
  const parts = empty([count, channels * down * across, 2], { dtype: "float64", device });
  const kernel = loadKernel("similarity", "similarity", device, { MIRROR: Number(isMirrored) });
  launch(kernel, { grid: [count * channels * down * across], block: [256] }, [
    ...[real.contiguous(), fake.contiguous(), weights, parts],
    ...[height, width, down, across].map(int),
  ]);
  return parts.sum([1]);
}
