// Scores of one clip against another, as `reconstruct` prints them. Sets are reconstruction.ts. Frame by frame: the tensors of
// a whole clip would be many times its bytes.
import { type Clip, frameOf } from "../media/clip.js";
import { psnr } from "../metrics/psnr.js";
import { ssim } from "../metrics/ssim.js";
import { scope, Tensor } from "../torch/index.js";

interface PairScores {
  readonly PSNR: number;
  readonly SSIM?: number;
}

const ssimWindow = 11; // pixels; smaller pictures have no SSIM

/** What SSIM in float64 takes at its peak, bytes a pixel of a frame (776 MiB at 1280 x 720). */
const ssimBytesPerPixel = 900;

/** Larger frames have no SSIM. */
export const ssimPixelLimit = 2 ** 22;

/** How large a frame may be for SSIM to stay within a quarter of a budget of memory, bytes; the usual limit without one. */
export function ssimLimitOf(budgetBytes: number | undefined): number {
  if (budgetBytes === undefined) return ssimPixelLimit;
  return Math.min(ssimPixelLimit, budgetBytes / 4 / ssimBytesPerPixel);
}

/** PSNR in dB, and SSIM where frames are large enough for it and not above `pixelLimit`; means over the frames. */
export function scorePair(
  original: Clip,
  recon: Clip,
  pixelLimit: number = ssimPixelLimit,
): PairScores {
  const scores = Array.from({ length: original.frames }, (_, index) =>
    scoreFrame(frameOf(original, index), frameOf(recon, index), pixelLimit),
  );
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const ssims = scores.flatMap(({ SSIM }) => (SSIM === undefined ? [] : [SSIM]));
  const PSNR = mean(scores.map((score) => score.PSNR));
  return { PSNR, ...(ssims.length ? { SSIM: mean(ssims) } : {}) };
}

function scoreFrame(original: Clip, recon: Clip, pixelLimit: number): PairScores {
  const { height, width } = original;
  if (height * width > pixelLimit) return { PSNR: psnrOfBytes(original.bytes, recon.bytes) };
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

/** As metrics/psnr.ts has it, without a tensor: 100 dB for equal bytes. */
function psnrOfBytes(real: Uint8Array, fake: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < real.length; i++) sum += (real[i]! - fake[i]!) ** 2;
  return sum === 0 ? 100 : 10 * Math.log10((255 ** 2 * real.length) / sum);
}

/** 0..255, [1, 3, T, H, W] */
function pixelsOf({ bytes, frames, height, width }: Clip): Tensor {
  return Tensor.from(bytes, [1, frames, height, width, 3]).permute([0, 4, 1, 2, 3]);
}
