// LPIPS as a metric: the network's distance of each picture pair. Lower is better; 0 for identical
// pictures.
import type { Lpips } from "../perceptual/lpips.js";
import type { Tensor } from "../torch/index.js";
import { byParts, type PictureMetric, pictureMetric } from "./metric.js";

const toUnit = (pixels: Tensor): Tensor => pixels.div(127.5).sub(1); // 0..255 -> [-1, 1]

const valuesAtOnce = 16 * 3 * 256 ** 2; // about 8 GiB of VGG16's activations, both pictures'

/** The network stays the caller's: disposing of it is too. */
export const lpips = (network: Lpips): PictureMetric =>
  pictureMetric("LPIPS", (real, fake) =>
    byParts([real, fake], valuesAtOnce, (x, y) => network.forward(toUnit(y), toUnit(x))),
  );
