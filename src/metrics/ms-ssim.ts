// Multi-scale structural similarity (Wang 2003): structure at five scales, each half the last, and luminance at the
// coarsest. What a window is stands in ssim.ts.
import { avgPool2d, type Tensor } from "../torch/index.js";
import { type PictureMetric, pictureMetric } from "./metric.js";
import { type SsimBorder, type SsimOptions, similarity } from "./ssim.js";

/** exponents, fine to coarse */
const weights = [0.0448, 0.2856, 0.3001, 0.2363, 0.1333];
const minimumSize = 11 * 2 ** (weights.length - 1); // pixels: one window at the coarsest scale

/**
 * `border` is of the coarsest scale alone: `reflect` (the default) as torchmetrics 1.9 has it, `valid` as the paper. Finer
 * scales take the windows within the picture. A negative mean counts as 0.
 */
export function msSsim({ border = "reflect" }: SsimOptions = {}): PictureMetric {
  return pictureMetric("MS-SSIM", (real, fake) => {
    requireSize(real);
    return msSsimOf(real, fake, border);
  });
}

/** x, y float32 [N, 3, H, W] in 0..255, whose halves float32 holds exactly -> [N] */
function msSsimOf(x: Tensor, y: Tensor, border: SsimBorder): Tensor {
  let [real, fake] = [x, y];
  const factors = weights.map((weight, scale) => {
    if (scale > 0) [real, fake] = [halve(real), halve(fake)];
    const isCoarsest = scale === weights.length - 1;
    const mean = isCoarsest
      ? similarity(real, fake, border).whole
      : similarity(real, fake, "valid").structure;
    return mean.clamp(0).pow(weight);
  });
  return factors.reduce((product, factor) => product.mul(factor));
}

const halve = (pictures: Tensor): Tensor => avgPool2d(pictures, { kernel: 2 });

function requireSize(pictures: Tensor): void {
  const [, , height = 0, width = 0] = pictures.shape;
  if (Math.min(height, width) >= minimumSize) return;
  throw new Error(
    `Expected pictures of at least ${minimumSize} x ${minimumSize} for MS-SSIM, ` +
      `received ${height} x ${width}. Score larger pictures, or leave ms-ssim out.`,
  );
}
