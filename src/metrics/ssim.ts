// Structural similarity (Wang 2004): 11 x 11 Gaussian of sigma 1.5, K 0.01 and 0.03, range 255,
// each colour by itself, then the mean. In float64: a variance is a small difference of large
// numbers.
import { call, cat, scope, stack, type Tensor } from "../torch/index.js";
import { type PictureMetric, pictureMetric } from "./metric.js";

const windowSize = 11;
const radius = (windowSize - 1) / 2;
const sigma = 1.5;
const c1 = (0.01 * 255) ** 2;
const c2 = (0.03 * 255) ** 2;

export interface SsimOptions {
  /**
   * `reflect` (the default, protocol `standard`): one window a pixel, the border mirrored, as torchmetrics 1.9 averages
   * them. `valid`: only windows within the picture, as the paper of SSIM and scikit-image; 0.002 lower on photographs.
   */
  readonly border?: "valid" | "reflect";
}

export function ssim({ border = "reflect" }: SsimOptions = {}): PictureMetric {
  return pictureMetric("SSIM", (real, fake) => {
    requireWindow(real);
    // One picture at a time, so that memory does not grow with their number.
    const scores = Array.from({ length: real.shape[0]! }, (_, i) =>
      scope(() => {
        const [x, y] = [real, fake].map((pictures) => prepare(pictures.select(0, i), border));
        return ssimOfPicture(x!, y!);
      }),
    );
    return stack(scores, 0);
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

/** [3, H, W] -> float64, with a mirrored border where the windows may leave the picture. */
export function prepare(picture: Tensor, border: "valid" | "reflect"): Tensor {
  const exact = picture.to({ dtype: "float64" });
  return border === "valid" ? exact : call("reflection_pad2d", exact, Array(4).fill(radius));
}

/** x, y float64 [3, H, W] -> one number, the mean over colours and windows */
export function ssimOfPicture(x: Tensor, y: Tensor): Tensor {
  const { luminance, structure } = ssimMaps(x, y);
  return luminance.mul(structure).mean();
}

/** x, y float64 [3, H, W] -> the two factors of the similarity, one a window: [3, H - 10, W - 10] */
export function ssimMaps(x: Tensor, y: Tensor): { luminance: Tensor; structure: Tensor } {
  const moments = cat([x, y, x.square(), y.square(), x.mul(y)], 0); // [15, H, W]
  const [meanX, meanY, meanXX, meanYY, meanXY] = blur(moments).chunk(5, 0) as Five<Tensor>;
  const product = meanX.mul(meanY);
  const squares = meanX.square().add(meanY.square());
  const covariance = meanXY.sub(product);
  const variances = meanXX.add(meanYY).sub(squares);
  const luminance = product.mul(2).add(c1).div(squares.add(c1));
  const structure = covariance.mul(2).add(c2).div(variances.add(c2));
  return { luminance, structure };
}

type Five<T> = [T, T, T, T, T];

/** The Gaussian along rows, then columns, without padding: [M, H, W] -> [M, H - 10, W - 10] */
function blur(maps: Tensor): Tensor {
  return [1, 2].reduce((blurred, dim) => blurAlong(blurred, dim), maps);
}

/**
 * A sum of shifted copies: a float64 convolution would unfold the picture eleven times in memory.
 */
function blurAlong(maps: Tensor, dim: number): Tensor {
  const length = maps.shape[dim]! - windowSize + 1;
  return scope(() => {
    const sum = maps.narrow(dim, 0, length).mul(gaussian[0]!);
    for (let k = 1; k < windowSize; k++) {
      call("add_.Tensor", sum, maps.narrow(dim, k, length), gaussian[k]!);
    }
    return sum;
  });
}

/** weights that sum to 1 */
const gaussian = normalised(
  Array.from({ length: windowSize }, (_, k) => Math.exp(-((k - radius) ** 2) / (2 * sigma ** 2))),
);

function normalised(values: readonly number[]): number[] {
  const total = values.reduce((sum, value) => sum + value, 0);
  return values.map((value) => value / total);
}
