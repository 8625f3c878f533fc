// From noise to a latent, level by level: DDIM without new noise, and DPM-Solver++ of second order with steps of several
// points (2M). On the flow's straight line, DDIM's step is Euler's. Coefficients in double precision.
import { keep, scope, type Tensor } from "../torch/index.js";
import type { Prediction } from "./config.js";
import { clean, type Level } from "./schedule.js";

export const samplers = ["ddim", "dpm++"] as const;
export type SamplerName = (typeof samplers)[number];

export interface SamplerOptions {
  readonly prediction: Prediction;
  /** Where the steps start, noisiest first; see samplingLevels(). The last step ends without noise. */
  readonly levels: readonly Level[];
  readonly sampler: SamplerName;
  /** After each step, with the latent so far. */
  readonly onStep?: (done: number, x: Tensor) => void;
}

/** x of the first level [B, N, c] -> a clean latent. `predict` is what the network says about x at a level. */
export function runSampler(
  predict: (x: Tensor, level: Level) => Tensor,
  noise: Tensor,
  { prediction, levels, sampler, onStep }: SamplerOptions,
): Tensor {
  const solver = new DpmSolver();
  const step = sampler === "ddim" ? ddimStep : solver.step;
  let x = noise;
  try {
    levels.forEach((from, index) => {
      const to = levels[index + 1] ?? clean;
      const next = scope(() => step(x, predict(x, from), { prediction, from, to }));
      if (x !== noise) x.dispose();
      x = next;
      onStep?.(index + 1, x);
    });
    return x;
  } finally {
    solver.dispose();
  }
}

interface Move {
  readonly prediction: Prediction;
  readonly from: Level;
  readonly to: Level;
}

type Step = (x: Tensor, predicted: Tensor, move: Move) => Tensor;

/** x and the prediction are linear in the clean latent and the noise; these factors turn that around. */
function factors(prediction: Prediction, { signal, sigma }: Level) {
  switch (prediction) {
    case "noise":
      return { clean: [1 / signal, -sigma / signal], noise: [0, 1] } as const;
    case "velocity":
      return { clean: [signal, -sigma], noise: [sigma, signal] } as const;
    case "flow":
      return { clean: [1, -sigma], noise: [1, signal] } as const;
  }
}

const ddimStep: Step = (x, predicted, { prediction, from, to }) => {
  const { clean: c, noise: n } = factors(prediction, from);
  return x
    .mul(to.signal * c[0] + to.sigma * n[0])
    .add(predicted.mul(to.signal * c[1] + to.sigma * n[1]));
};

/** Half the logarithm of the signal-to-noise ratio. */
const lambda = ({ signal, sigma }: Level): number => Math.log(signal / sigma);

/** Remembers the clean latent that the step before predicted. */
class DpmSolver {
  #last: { guess: Tensor; width: number } | undefined;

  readonly step: Step = (x, predicted, { prediction, from, to }) => {
    const { clean: c } = factors(prediction, from);
    const guess = keep(x.mul(c[0]).add(predicted.mul(c[1])));
    const width = lambda(to) - lambda(from);
    // The last step has an infinite width, and the first of a flow comes from infinity: both are of first order.
    const weight = this.#last && Number.isFinite(width) ? width / (2 * this.#last.width) : 0;
    const aim = weight ? guess.add(guess.sub(this.#last!.guess).mul(weight)) : guess;
    this.dispose();
    this.#last = { guess, width };
    return x.mul(to.sigma / from.sigma).sub(aim.mul(to.signal * Math.expm1(-width)));
  };

  dispose(): void {
    this.#last?.guess.dispose();
    this.#last = undefined;
  }
}
