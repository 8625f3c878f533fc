// Structural similarity (Wang 2004): 11 x 11 Gaussian of sigma 1.5, K 0.01 and 0.03, range 255, each colour by itself, then
// the mean. In float64: a variance is a small difference of large numbers. Legend: N pictures, H W pixels.
import { call, cat, scope, stack, Tensor } from "../torch/index.js";
import { suitsSimilarity, sumsOfSimilarity } from "./fused-similarity.js";
import { byParts, type PictureMetric, pictureMetric } from "./metric.js";

const windowSize = 11;
const radius = (windowSize - 1) / 2;
const sigma = 1.5;
const c1 = (0.01 * 255) ** 2;
const c2 = (0.03 * 255) ** 2;

export type SsimBorder = "valid" | "reflect";

export interface SsimOptions {
  /**
   * `reflect` (the default): one window a pixel, the border mirrored, as torchmetrics averages them. `valid`: only windows
   * within the picture, as the paper of SSIM and scikit-image have it; 0.002 to 0.013 apart on photographs.
   */
  readonly border?: SsimBorder;
}

export function ssim({ border = "reflect" }: SsimOptions = {}): PictureMetric {
  return pictureMetric("SSIM", (real, fake) => {
    requireWindow(real);
    return similarity(real, fake, border).whole;
  });
}

function requireWindow(pictures: Tensor): void {
  const [, , height = 0, width = 0] = pictures.shape;
  if (Math.min(height, width) >= windowSize) return;
  throw new Error(
    `Expected pictures of at least ${windowSize} x ${windowSize} for SSIM, ` +
      `received ${height} x ${width}. Score larger pictures, or leave ssim out.`,
  );
}

/** Means over colours and windows, float64 [N] each. */
export interface Similarity {
  readonly whole: Tensor;
  /** Its second factor alone, without that of luminance. */
  readonly structure: Tensor;
}

/** real, fake float32 [N, 3, H, W] in 0..255 */
export function similarity(real: Tensor, fake: Tensor, border: SsimBorder): Similarity {
  const means = suitsSimilarity(real, fake)
    ? meansByKernel(real, fake, border)
    : byParts([real, fake], valuesAtOnce(real.device), (x, y) =>
        similarityTwin(prepare(x, border), prepare(y, border)),
      );
  const [whole, structure] = means.unbind(1) as [Tensor, Tensor];
  return { whole, structure };
}

function meansByKernel(real: Tensor, fake: Tensor, border: SsimBorder): Tensor {
  const [, channels, height, width] = real.shape as [number, number, number, number];
  const lost = border === "reflect" ? 0 : windowSize - 1;
  const weights = Tensor.from(gaussian, [windowSize], { dtype: "float64", device: real.device });
  const sums = sumsOfSimilarity([real, fake], weights, { isMirrored: border === "reflect" });
  return sums.div(channels * (height - lost) * (width - lost));
}

/** About 1 GiB of float64 maps on a GPU; on a CPU one picture, whose maps then stay in its caches. */
const valuesAtOnce = (device: string): number => (device === "cpu" ? 1 : 1 << 22);

/** [N, 3, H, W] -> float64, with a mirrored border where the windows may leave the picture. */
function prepare(pictures: Tensor, border: SsimBorder): Tensor {
  const exact = pictures.to({ dtype: "float64" });
  return border === "valid" ? exact : call("reflection_pad2d", exact, Array(4).fill(radius));
}

/** x, y float64 [N, 3, H, W] -> [N, 2]: similarity and structure */
function similarityTwin(x: Tensor, y: Tensor): Tensor {
  const { luminance, structure } = ssimMaps(x, y);
  return stack([luminance.mul(structure), structure].map((map) => map.mean([1, 2, 3]))).transpose(
    0,
    1,
  );
}

/** x, y float64 [N, 3, H, W] -> the two factors of the similarity, one a window: [N, 3, H - 10, W - 10] */
function ssimMaps(x: Tensor, y: Tensor): { luminance: Tensor; structure: Tensor } {
  const moments = cat([x, y, x.square().add(y.square()), x.mul(y)], 1); // [N, 12, H, W]
  const [meanX, meanY, meanSquares, meanXY] = blur(moments).chunk(4, 1) as Four<Tensor>;
  const product = meanX.mul(meanY);
  const squares = meanX.square().add(meanY.square());
  const covariance = meanXY.sub(product);
  const variances = meanSquares.sub(squares);
  const luminance = product.mul(2).add(c1).div(squares.add(c1));
  const structure = covariance.mul(2).add(c2).div(variances.add(c2));
  return { luminance, structure };
}

type Four<T> = [T, T, T, T];

/** The Gaussian along both dimensions, without padding: [N, C, H, W] -> [N, C, H - 10, W - 10] */
function blur(maps: Tensor): Tensor {
  return [1, 2].reduce((x) => scope(() => blurRows(x).transpose(2, 3)), maps);
}

/**
 * Along the last dimension, as products with a band matrix, a strip of 64 at a time: what a GPU does in float64 at full
 * speed, where a convolution would unfold the picture eleven times in memory. [..., W] -> [..., W - 10]
 */
function blurRows(maps: Tensor): Tensor {
  const width = maps.shape.at(-1)! - windowSize + 1;
  const strip = Math.min(64, width);
  const strips = Math.ceil(width / strip);
  const padded = call("constant_pad_nd", maps, [0, strips * strip - width], 0);
  const pieces = call("unfold", padded, -1, strip + windowSize - 1, strip); // [..., strips, strip + 10]
  const blurred = pieces.matmul(band(strip, maps.device)); // [..., strips, strip]
  return blurred.flatten(-2).narrow(-1, 0, width);
}

/** [strip + 10, strip]: column j holds the Gaussian in its rows j to j + 10. */
function band(strip: number, device: string): Tensor {
  const rows = strip + windowSize - 1;
  const values = new Float64Array(rows * strip);
  for (let j = 0; j < strip; j++)
    gaussian.forEach((weight, k) => {
      values[(j + k) * strip + j] = weight;
    });
  return Tensor.from(values, [rows, strip], { dtype: "float64", device });
}

/** weights that sum to 1 */
const gaussian = normalised(
  Array.from({ length: windowSize }, (_, k) => Math.exp(-((k - radius) ** 2) / (2 * sigma ** 2))),
);

function normalised(values: readonly number[]): number[] {
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => value / total);
}
