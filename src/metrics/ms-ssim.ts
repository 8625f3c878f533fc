// Multi-scale structural similarity (Wang 2003): structure at five scales, each half the last, and luminance at the
// coarsest. What a window is stands in ssim.ts.
import { avgPool2d, scope, stack, type Tensor } from "../torch/index.js";
import { type PictureMetric, pictureMetric } from "./metric.js";
import { prepare, type SsimOptions, ssimMaps, ssimOfPicture } from "./ssim.js";

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
    // One picture at a time, so that memory does not grow with their number.
    const scores = Array.from({ length: real.size(0) }, (_, i) =>
      scope(() => msSsimOfPicture(real.select(0, i), fake.select(0, i), border)),
    );
    return stack(scores, 0);
  });
}

/** x, y [3, H, W] in 0..255 -> one number */
function msSsimOfPicture(x: Tensor, y: Tensor, border: "valid" | "reflect"): Tensor {
  let [real, fake] = [x, y].map((picture) => prepare(picture, "valid")) as [Tensor, Tensor];
  const factors = weights.map((weight, scale) => {
    if (scale > 0) [real, fake] = [halve(real), halve(fake)];
    const isCoarsest = scale === weights.length - 1;
    const similarity = isCoarsest
      ? ssimOfPicture(prepare(real, border), prepare(fake, border))
      : ssimMaps(real, fake).structure.mean();
    return similarity.clamp(0).pow(weight);
  });
  return factors.reduce((product, factor) => product.mul(factor));
}

const halve = (picture: Tensor): Tensor => avgPool2d(picture, { kernel: 2 });

function requireSize(pictures: Tensor): void {
  const [, , height = 0, width = 0] = pictures.shape;
  if (Math.min(height, width) >= minimumSize) return;
  throw new Error(
    `Expected pictures of at least ${minimumSize} x ${minimumSize} for MS-SSIM, ` +
      `received ${height} x ${width}. Score larger pictures, or leave ms-ssim out.`,
  );
}
