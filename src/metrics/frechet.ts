// The Frechet distance of two sets' features taken as Gaussians (Heusel 2017): FID on Inception's, FVD on I3D's.
// Spec section 5: float64, by symmetric eigen-decomposition, never negative. FID-infinity is Chong and Forsyth's (2020).
import { call, eigh, eigvalsh, Generator, noGrad, scope, type Tensor } from "../torch/index.js";
import { randomRows } from "./feature-reservoir.js";
import { Moments } from "./moments.js";

/**
 * |mean_a - mean_b|^2 + trace(A + B - 2 (A B)^(1/2)). On the CPU, whatever the device: two cores take some
 * 10 s for 2048 channels.
 * @throws an Error for unlike channels, fewer than two samples, or features that were not finite.
 */
export function frechetDistance(a: Moments, b: Moments): number {
  return noGrad(() => scope(() => distanceFrom(a)(b)));
}

/** Why a distance says less than it seems to; undefined where both sets are large enough. */
export function sampleWarning(...sets: readonly Moments[]): string | undefined {
  const small = sets.filter(({ count, channels }) => count <= channels);
  if (small.length === 0) return undefined;
  const counts = small.map(({ count }) => count).join(" and ");
  return (
    `${counts} samples for ${small[0]!.channels} features: the covariance is singular and the distance biased ` +
    "upwards. Compare it at equal numbers only, or give more samples."
  );
}

export interface Extrapolation {
  /** The distance for infinitely many samples: where the line meets 1 / n = 0. */
  readonly distance: number;
  /** Distance of a subset against 1 / its size. */
  readonly points: readonly { readonly count: number; readonly distance: number }[];
}

export interface ExtrapolationOptions {
  /** Subsets, 15 by default; their sizes are evenly spaced. */
  readonly points?: number;
  /** Size of the smallest subset, by default 5000 or half the features, whichever is less. */
  readonly smallest?: number;
  readonly seed?: number;
}

/**
 * FID-infinity: a line through the distances of random subsets of `features` [N, C] from `real`, over 1 / n.
 * @throws an Error where there are too few features for two subsets of at least two.
 */
export function extrapolateFrechet(
  real: Moments,
  features: Tensor,
  options: ExtrapolationOptions = {},
): Extrapolation {
  const total = features.size(0);
  const { points = 15, smallest = Math.min(5000, Math.floor(total / 2)), seed = 0 } = options;
  if (smallest < 2 || smallest >= total || points < 2)
    throw new Error(
      `Expected at least 2 points from 2 or more up to ${total} features for FID-infinity, received ${points} ` +
        `from ${smallest}. Give more features, or a smaller \`smallest\`.`,
    );
  const generator = new Generator(seed);
  return noGrad(() =>
    scope(() => {
      const distanceTo = distanceFrom(real);
      const measured = Array.from({ length: points }, (_, i) => {
        const count = Math.round(smallest + ((total - smallest) * i) / (points - 1));
        const moments = subsetMoments(features, count, generator);
        try {
          return { count, distance: distanceTo(moments) };
        } finally {
          moments.dispose();
        }
      });
      return { distance: intercept(measured), points: measured };
    }),
  );
}

/** Of `count` random rows, none twice. */
function subsetMoments(features: Tensor, count: number, generator: Generator): Moments {
  const moments = new Moments(features.size(1));
  scope(() => moments.update(randomRows(features, count, generator)));
  return moments;
}

/** Least squares of the distance over 1 / n, read off at 0. */
function intercept(points: Extrapolation["points"]): number {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const x = mean(points.map(({ count }) => 1 / count));
  const y = mean(points.map(({ distance }) => distance));
  const products = points.map(({ count, distance }) => (1 / count - x) * (distance - y));
  const squares = points.map(({ count }) => (1 / count - x) ** 2);
  return y - (mean(products) / mean(squares)) * x;
}

/**
 * The distance from one set to any other. The trace of (A B)^(1/2) is that of (R B R)^(1/2), R R = A: a symmetric
 * matrix, whose eigenvalues are real and at least 0, rounding aside. A's root is found once; it lives as long as the
 * scope around.
 */
function distanceFrom(a: Moments): (b: Moments) => number {
  const [mean, covariance] = statistics(a);
  const [values, vectors] = eigh(covariance);
  const root = vectors.mul(values.clamp(0).sqrt()).matmul(vectors.transpose(0, 1));
  return (b) =>
    scope(() => {
      requireAlike(a, b);
      const [otherMean, otherCovariance] = statistics(b);
      const product = largest(
        eigvalsh(root.matmul(otherCovariance).matmul(root)),
        Math.min(rank(a), rank(b)),
      );
      const shift = mean.sub(otherMean).square().sum().item();
      const traces = trace(covariance) + trace(otherCovariance);
      return Math.max(0, shift + traces - 2 * product.clamp(0).sqrt().sum().item());
    });
}

function statistics(moments: Moments): [mean: Tensor, covariance: Tensor] {
  const mean = moments.mean().to({ device: "cpu" });
  const covariance = moments.covariance().to({ device: "cpu" });
  if (Number.isFinite(mean.sum().item() + covariance.sum().item())) return [mean, covariance];
  throw new Error(
    "Expected finite features for a Frechet distance, received NaN or infinity. " +
      "Look at the pictures and the network's weights.",
  );
}

/** What a covariance of n samples can have at most. */
const rank = ({ count, channels }: Moments): number =>
  Number.isNaN(count) ? channels : Math.min(channels, count - 1);

/** Of ascending eigenvalues the last: the others are rounding, whose many small roots would add up. */
const largest = (values: Tensor, count: number): Tensor =>
  values.narrow(0, values.size(0) - count, count);

const trace = (matrix: Tensor): number => call("trace", matrix).item();

function requireAlike(a: Moments, b: Moments): void {
  if (a.channels === b.channels) return;
  throw new Error(
    `Expected two sets of ${a.channels} channels for a Frechet distance, received ${b.channels}. ` +
      "Take both through one network and tap.",
  );
}
