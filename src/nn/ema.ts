// An exponential moving average of weights, float32, one foreach call a step. Paper: stage 2 evaluates and exports it.
import { call, noGrad, scope, type Tensor } from "../torch/index.js";

/** min(0.9999, (1 + t) / (10 + t)): `step` t counts from 0. */
export function emaDecay(step: number): number {
  return Math.min(0.9999, (1 + step) / (10 + step));
}

/** average <- decay * average + (1 - decay) * weights, where both lie; pairs by position, averages in float32. */
export function updateEma(
  averages: readonly Tensor[],
  weights: readonly Tensor[],
  decay: number,
): void {
  if (averages.length !== weights.length)
    throw new RangeError(
      `Expected as many averages as weights, received ${averages.length} and ${weights.length}.`,
    );
  noGrad(() =>
    scope(() => {
      const wide = weights.map((weight) => weight.to({ dtype: "float32" }));
      call<undefined>("_foreach_lerp_.Scalar", averages, wide, 1 - decay);
    }),
  );
}
