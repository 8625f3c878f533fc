// Kernel distance (KID, Binkowski 2018): the unbiased squared maximum mean discrepancy of two sets' features under the
// kernel (x y / C + 1)^3, over random subsets. Unlike the Frechet distance it is unbiased at any n. In float64.
import { call, Generator, noGrad, scope, type Tensor } from "../torch/index.js";
import { randomRows } from "./feature-reservoir.js";

export interface KernelDistanceOptions {
  /** How many, 100 by default. */
  readonly subsets?: number;
  /** Features of a set in one, 1000 by default; at most what the smaller set has. */
  readonly subsetSize?: number;
  readonly seed?: number;
}

export interface KernelDistance {
  readonly mean: number;
  /** of the subsets' distances (population) */
  readonly deviation: number;
  readonly subsetSize: number;
}

/** Features [N, C] and [M, C]. @throws an Error for unlike channels or fewer than two features a set. */
export function kernelDistance(
  real: Tensor,
  fake: Tensor,
  { subsets = 100, subsetSize: wanted = 1000, seed = 0 }: KernelDistanceOptions = {},
): KernelDistance {
  const subsetSize = Math.min(wanted, real.shape[0] ?? 0, fake.shape[0] ?? 0);
  if (real.ndim !== 2 || fake.ndim !== 2 || real.size(1) !== fake.size(1) || subsetSize < 2)
    throw new Error(
      `Expected two sets of at least 2 features [N, C] for KID, received [${real.shape}] and [${fake.shape}]. ` +
        "Take both through one network and tap.",
    );
  const generator = new Generator(seed);
  const draw = (features: Tensor) =>
    randomRows(features, subsetSize, generator).to({ dtype: "float64" });
  const distances = Array.from({ length: subsets }, () =>
    noGrad(() => scope(() => discrepancy(draw(real), draw(fake)))),
  );
  const mean = distances.reduce((sum, value) => sum + value, 0) / subsets;
  const squares = distances.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, deviation: Math.sqrt(squares / subsets), subsetSize };
}

/** x, y [n, C]: mean kernel within each set, its diagonal left out, less twice the mean across. */
function discrepancy(x: Tensor, y: Tensor): number {
  const n = x.size(0);
  const within = (features: Tensor) => {
    const values = kernel(features, features);
    return (values.sum().item() - call("trace", values).item()) / (n * (n - 1));
  };
  return within(x) + within(y) - 2 * kernel(x, y).mean().item();
}

const kernel = (x: Tensor, y: Tensor): Tensor =>
  x.matmul(y.transpose(0, 1)).div(x.size(1)).add(1).pow(3);
