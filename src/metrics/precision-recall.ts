// Improved precision and recall (Kynkaanniemi 2019, arXiv 1904.06991): the share of fakes within the real set's manifold,
// and of reals within the fakes'. A manifold is a ball about each feature, as wide as its k-th neighbour is far.
import { call, cat, noGrad, scope, type Tensor } from "../torch/index.js";

export interface PrecisionRecallOptions {
  /** The neighbour that the balls reach to, 3 by default. */
  readonly k?: number;
}

export interface PrecisionRecall {
  readonly precision: number;
  readonly recall: number;
}

const distancesAtOnce = 1 << 24; // 128 MiB of float64

/**
 * Features [N, C] and [M, C], by convention of equal number. Distances are taken some rows at a time: memory grows with
 * N + M, not N M. @throws an Error for unlike channels, or no more than k features a set.
 */
export function precisionRecall(
  real: Tensor,
  fake: Tensor,
  { k = 3 }: PrecisionRecallOptions = {},
): PrecisionRecall {
  const smaller = Math.min(real.shape[0] ?? 0, fake.shape[0] ?? 0);
  if (real.ndim !== 2 || fake.ndim !== 2 || real.size(1) !== fake.size(1) || smaller <= k)
    throw new Error(
      `Expected two sets of more than ${k} features [N, C] for precision and recall, ` +
        `received [${real.shape}] and [${fake.shape}]. Give more files, through one network and tap.`,
    );
  return noGrad(() =>
    scope(() => {
      const [x, y] = [real, fake].map((features) => features.to({ dtype: "float64" })) as Pair;
      return { precision: shareWithin(y, x, k), recall: shareWithin(x, y, k) };
    }),
  );
}

type Pair = [Tensor, Tensor];

/** Share of `points` in the ball of at least one of `centres`. */
function shareWithin(points: Tensor, centres: Tensor, k: number): number {
  // The nearest neighbour of a feature in its own set is itself.
  const radii = byRows(centres, centres, (distances) => kthSmallest(distances, k + 1));
  const within = byRows(points, centres, (distances) =>
    call("any.dim", distances.le(radii), 1).to({ dtype: "float64" }),
  );
  return within.mean().item();
}

const kthSmallest = (distances: Tensor, k: number): Tensor =>
  call<[Tensor, Tensor]>("kthvalue", distances, k, 1)[0];

/** Euclidean distances [n, M] of some rows of x at a time -> what `reduce` makes of them [n], joined. */
function byRows(x: Tensor, y: Tensor, reduce: (distances: Tensor) => Tensor): Tensor {
  const rows = Math.max(1, Math.floor(distancesAtOnce / y.size(0)));
  const parts = Array.from({ length: Math.ceil(x.size(0) / rows) }, (_, i) =>
    scope(() => {
      const some = x.slice(0, i * rows, (i + 1) * rows);
      return reduce(call("cdist", some, y, 2, useProducts));
    }),
  );
  return cat(parts, 0);
}

const useProducts = 1; // by a matrix product whatever the sizes
