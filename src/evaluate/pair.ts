// Scores of one clip against another, as `reconstruct` prints them. Sets are reconstruction.ts.
import type { Clip } from "../media/clip.js";
import { psnr } from "../metrics/psnr.js";
import { ssim } from "../metrics/ssim.js";
import { scope, Tensor } from "../torch/index.js";

const ssimWindow = 11; // pixels; smaller pictures have no SSIM

/** PSNR in dB, and SSIM where the clips are large enough for it. */
export function scorePair(original: Clip, recon: Clip): { PSNR: number; SSIM?: number } {
  const { height, width } = original;
  const metrics = Math.min(height, width) < ssimWindow ? [psnr()] : [psnr(), ssim()];
  const scores = scope(() => {
    const [real, fake] = [original, recon].map(pixelsOf) as [Tensor, Tensor];
    return metrics.map((metric) => {
      metric.update(real, fake);
      return metric.compute();
    });
  });
  return Object.assign({ PSNR: 0 }, ...scores);
}

/** 0..255, [1, 3, T, H, W] */
function pixelsOf({ bytes, frames, height, width }: Clip): Tensor {
  return Tensor.from(bytes, [1, frames, height, width, 3]).permute([0, 4, 1, 2, 3]);
}
