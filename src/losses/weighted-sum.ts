// Where loss terms meet: the one sum of the training loop, so that no term can be lost or counted
// twice. Paper, section 2: MSE + 1e-3 KL + 1.0 LPIPS (+ 0.05 GAN).
import { scope, type Tensor } from "../torch/index.js";

export interface WeightedLoss {
  /** one number; call backward() on it */
  readonly loss: Tensor;
  /** every term by its name, unweighted and detached, and the sum as `loss` */
  readonly logged: Record<string, Tensor>;
}

/**
 * Sum of weight x term, in float32. A term of weight 0 is logged and not added. Throws where a term
 * has no weight, or a weight that is not 0 has no term.
 */
export function weightedSum(
  terms: Readonly<Record<string, Tensor>>,
  weights: Readonly<Record<string, number>>,
): WeightedLoss {
  requireMatch(terms, weights);
  return scope(() => {
    const added = Object.entries(terms).filter(([name]) => weights[name] !== 0);
    const loss = added
      .map(([name, term]) => term.to({ dtype: "float32" }).mul(weights[name]!))
      .reduce((sum, term) => sum.add(term));
    const all = Object.entries({ ...terms, loss });
    return { loss, logged: Object.fromEntries(all.map(([name, x]) => [name, x.detach()])) };
  });
}

function requireMatch(
  terms: Readonly<Record<string, Tensor>>,
  weights: Readonly<Record<string, number>>,
): void {
  for (const [name, term] of Object.entries(terms)) {
    if (!Number.isFinite(weights[name])) {
      throw new Error(
        `Expected a finite weight for the loss term "${name}", received ${weights[name]}. ` +
          `Weights are given for: ${Object.keys(weights).join(", ")}.`,
      );
    }
    if (term.numel !== 1) {
      throw new Error(`Expected one number for the loss term "${name}", received ${term}.`);
    }
  }
  for (const [name, weight] of Object.entries(weights)) {
    if (weight === 0 || name in terms) continue;
    throw new Error(
      `Expected a loss term "${name}" for its weight ${weight}, received only: ` +
        `${Object.keys(terms).join(", ")}. Compute it, or set losses.${name}: 0.`,
    );
  }
  if (Object.keys(terms).every((name) => weights[name] === 0)) {
    throw new Error(
      "Expected a loss term with a weight above 0, received none. Set one in losses.",
    );
  }
}
