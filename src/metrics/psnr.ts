// Peak signal-to-noise ratio over a whole picture, in dB; range 255. Identical pictures score 100,
// not infinity.
import type { Tensor } from "../torch/index.js";
import { type PictureMetric, pictureMetric } from "./metric.js";

const identical = 100; // dB

export const psnr = (): PictureMetric => pictureMetric("PSNR", psnrOf);

/** [N, 3, H, W] in 0..255 -> [N]: 10 log10(255^2 / MSE), at most 100, in float64 */
function psnrOf(real: Tensor, fake: Tensor): Tensor {
  const mse = real.to({ dtype: "float64" }).sub(fake).square().mean([1, 2, 3]);
  const nepers = mse
    .log()
    .neg()
    .add(Math.log(255 ** 2));
  return nepers.mul(10 / Math.LN10).clamp(undefined, identical);
}
