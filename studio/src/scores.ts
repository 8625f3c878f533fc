// How close a reconstruction is, and what a latent looks like: the numbers and pictures beside the slider. As the evaluation
// computes them: range 255; SSIM 11 x 11 Gaussian, sigma 1.5, valid windows, per colour.
import type { Picture } from "vitok/web";

/** dB over the range 255; 100 for identical pictures. */
export function psnr(a: Picture, b: Picture): number {
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) if (i % 4 < 3) sum += (a.data[i]! - b.data[i]!) ** 2;
  const mse = sum / ((a.data.length / 4) * 3);
  return mse === 0 ? 100 : 10 * Math.log10(255 ** 2 / mse);
}

const radius = 5;
const weights = (() => {
  const raw = Array.from({ length: 2 * radius + 1 }, (_, i) =>
    Math.exp(-((i - radius) ** 2) / (2 * 1.5 ** 2)),
  );
  const sum = raw.reduce((total, weight) => total + weight, 0);
  return raw.map((weight) => weight / sum);
})();

/** Undefined for pictures smaller than one window. */
export function ssim(a: Picture, b: Picture): number | undefined {
  const { width, height } = a;
  if (Math.min(width, height) <= 2 * radius) return undefined;
  const [c1, c2] = [(0.01 * 255) ** 2, (0.03 * 255) ** 2];
  let [sum, count] = [0, 0];
  for (let colour = 0; colour < 3; colour++) {
    const [x, y] = [a, b].map(({ data }) =>
      Float64Array.from({ length: width * height }, (_, i) => data[4 * i + colour]!),
    ) as [Float64Array, Float64Array];
    const blurred = (value: (i: number) => number) =>
      blur(
        Float64Array.from(x, (_, i) => value(i)),
        width,
        height,
      );
    const [mx, my] = [blurred((i) => x[i]!), blurred((i) => y[i]!)];
    const [xx, yy] = [blurred((i) => x[i]! ** 2), blurred((i) => y[i]! ** 2)];
    const xy = blurred((i) => x[i]! * y[i]!);
    for (let i = 0; i < mx.length; i++) {
      const [ux, uy] = [mx[i]!, my[i]!];
      const [vx, vy, cov] = [xx[i]! - ux * ux, yy[i]! - uy * uy, xy[i]! - ux * uy];
      sum += ((2 * ux * uy + c1) * (2 * cov + c2)) / ((ux * ux + uy * uy + c1) * (vx + vy + c2));
      count++;
    }
  }
  return sum / count;
}

/** A Gaussian over whole windows only: [height - 10, width - 10]. */
function blur(plane: Float64Array, width: number, height: number): Float64Array {
  const [columns, rows] = [width - 2 * radius, height - 2 * radius];
  const across = new Float64Array(height * columns);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * plane[y * width + x + k]!;
      across[y * columns + x] = sum;
    }
  const down = new Float64Array(rows * columns);
  for (let y = 0; y < rows; y++)
    for (let x = 0; x < columns; x++) {
      let sum = 0;
      for (let k = 0; k < weights.length; k++) sum += weights[k]! * across[(y + k) * columns + x]!;
      down[y * columns + x] = sum;
    }
  return down;
}

/** The difference around mid-grey, times `gain`. */
export function differenceOf(a: Picture, b: Picture, gain = 4): ImageData {
  const data = new Uint8ClampedArray(a.data.length);
  for (let i = 0; i < data.length; i++)
    data[i] = i % 4 === 3 ? 255 : 128 + gain * (b.data[i]! - a.data[i]!);
  return new ImageData(data, a.width, a.height);
}

/**
 * A latent [L, c] as one colour a token: its first three principal components over the tokens, each stretched between
 * its 2nd and 98th percentile. RGB bytes [L, 3].
 */
export function principalColours(mean: Float32Array, tokens: number): Uint8ClampedArray {
  const channels = mean.length / tokens;
  const centred = centre(mean, tokens, channels);
  let covariance = covarianceOf(centred, tokens, channels);
  const colours = new Uint8ClampedArray(3 * tokens);
  for (let colour = 0; colour < Math.min(3, channels); colour++) {
    const { vector, value } = leading(covariance, channels);
    const scores = Float64Array.from({ length: tokens }, (_, token) =>
      vector.reduce((sum, weight, k) => sum + weight * centred[token * channels + k]!, 0),
    );
    const sorted = Float64Array.from(scores).sort();
    const at = (share: number) => sorted[Math.round(share * (tokens - 1))]!;
    const [low, high] = [at(0.02), at(0.98)];
    scores.forEach((score, token) => {
      colours[3 * token + colour] = (255 * (score - low)) / (high - low || 1);
    });
    covariance = covariance.map(
      (entry, i) => entry - value * vector[Math.floor(i / channels)]! * vector[i % channels]!,
    );
  }
  return colours;
}

function centre(mean: Float32Array, tokens: number, channels: number): Float64Array {
  const sums = new Float64Array(channels);
  mean.forEach((value, i) => {
    sums[i % channels]! += value / tokens;
  });
  return Float64Array.from(mean, (value, i) => value - sums[i % channels]!);
}

function covarianceOf(centred: Float64Array, tokens: number, channels: number): Float64Array {
  const result = new Float64Array(channels * channels);
  for (let token = 0; token < tokens; token++)
    for (let a = 0; a < channels; a++)
      for (let b = 0; b < channels; b++)
        result[a * channels + b]! +=
          (centred[token * channels + a]! * centred[token * channels + b]!) / tokens;
  return result;
}

/** The largest eigenvalue of a symmetric matrix and its vector, by power iteration; its largest entry is positive. */
function leading(matrix: Float64Array, size: number): { vector: Float64Array; value: number } {
  let vector = Float64Array.from({ length: size }, (_, i) => 1 + 0.1 * i);
  let value = 0;
  for (let step = 0; step < 200; step++) {
    const next = Float64Array.from({ length: size }, (_, row) =>
      vector.reduce((sum, entry, column) => sum + matrix[row * size + column]! * entry, 0),
    );
    value = Math.hypot(...next);
    if (value === 0) break;
    vector = next.map((entry) => entry / value);
  }
  const largest = vector.reduce((most, entry) => (Math.abs(entry) > Math.abs(most) ? entry : most));
  return { vector: largest < 0 ? vector.map((entry) => -entry) : vector, value };
}
