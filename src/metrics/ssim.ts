// Structural similarity (Wang 2004): 11 x 11 Gaussian of sigma 1.5, windows that lie inside the picture, K 0.01 and
// 0.03, range 255, each colour by itself, then the mean. In float64: variances are small differences of large numbers.
import { call, cat, scope, stack, type Tensor } from "../torch/index.js";
import { type PictureMetric, pictureMetric } from "./metric.js";

const windowSize = 11;
const sigma = 1.5;
const c1 = (0.01 * 255) ** 2;
const c2 = (0.03 * 255) ** 2;

export const ssim = (): PictureMetric => pictureMetric("SSIM", ssimOf);

/** [N, 3, H, W] in 0..255 -> [N]; one picture at a time, so that memory does not grow with N. */
function ssimOf(real: Tensor, fake: Tensor): Tensor {
  const [count = 0, , height = 0, width = 0] = real.shape;
  if (Math.min(height, width) < windowSize) {
    throw new Error(
      `Expected pictures of at least ${windowSize} x ${windowSize} for SSIM, received ${height} x ${width}. ` +
        "Score larger pictures, or leave ssim out of evaluate.metrics.",
    );
  }
  const scores = Array.from({ length: count }, (_, i) =>
    scope(() => ssimOfPicture(real.select(0, i), fake.select(0, i))),
  );
  return stack(scores, 0);
}

/** x, y [3, H, W] -> one number */
function ssimOfPicture(real: Tensor, fake: Tensor): Tensor {
  const x = real.to({ dtype: "float64" });
  const y = fake.to({ dtype: "float64" });
  const moments = cat([x, y, x.square(), y.square(), x.mul(y)], 0); // [15, H, W]
  const [meanX, meanY, meanXX, meanYY, meanXY] = blur(moments).chunk(5, 0) as Five<Tensor>;
  const product = meanX.mul(meanY);
  const squares = meanX.square().add(meanY.square());
  const covariance = meanXY.sub(product);
  const variances = meanXX.add(meanYY).sub(squares);
  const luminance = product.mul(2).add(c1).div(squares.add(c1));
  const structure = covariance.mul(2).add(c2).div(variances.add(c2));
  return luminance.mul(structure).mean();
}

type Five<T> = [T, T, T, T, T];

/** The Gaussian along rows, then columns, without padding: [M, H, W] -> [M, H - 10, W - 10] */
function blur(maps: Tensor): Tensor {
  return [1, 2].reduce((blurred, dim) => blurAlong(blurred, dim), maps);
}

/** A sum of shifted copies: a float64 convolution would unfold the picture eleven times in memory. */
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
const gaussian: readonly number[] = (() => {
  const centre = (windowSize - 1) / 2;
  const bell = Array.from({ length: windowSize }, (_, k) =>
    Math.exp(-((k - centre) ** 2) / (2 * sigma ** 2)),
  );
  const total = bell.reduce((sum, value) => sum + value, 0);
  return bell.map((value) => value / total);
})();
