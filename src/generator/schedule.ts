// How much signal and noise there is at a time of the diffusion, and at which times a sampler stops. Numbers only.
// A noised latent is signal x + sigma noise. Noise and velocity prediction: linear betas, 1000 steps, as in DDPM and DiT;
// flow matching: the straight line from x (time 0) to noise (time 1), whose timestep is 1000 times the time.
import type { Prediction } from "./config.js";

export interface Level {
  /** What the network is told, 0 to 1000. */
  readonly timestep: number;
  readonly signal: number;
  readonly sigma: number;
}

export const trainSteps = 1000;
const [firstBeta, lastBeta] = [1e-4, 2e-2];

/** Product of (1 - beta) up to each of the 1000 steps: the signal's share of the variance. */
export const alphasCumprod: Float64Array = (() => {
  let product = 1;
  return Float64Array.from({ length: trainSteps }, (_, step) => {
    const beta = firstBeta + ((lastBeta - firstBeta) * step) / (trainSteps - 1);
    product *= 1 - beta;
    return product;
  });
})();

/** Signal and noise at a timestep: a whole number below 1000, for flow any number in [0, 1000]. */
export function levelAt(prediction: Prediction, timestep: number): Level {
  if (prediction === "flow") {
    const sigma = timestep / trainSteps;
    return { timestep, signal: 1 - sigma, sigma };
  }
  const share = alphasCumprod[timestep];
  if (share === undefined)
    throw new RangeError(
      `Expected a whole number from 0 to ${trainSteps - 1} for the timestep, received ${timestep}.`,
    );
  return { timestep, signal: Math.sqrt(share), sigma: Math.sqrt(1 - share) };
}

/** What every sampler ends at: no noise. */
export const clean: Level = { timestep: 0, signal: 1, sigma: 0 };

/** The levels that a sampler of so many steps starts its steps at, noisiest first; DiT's even respacing of the 1000. */
export function samplingLevels(prediction: Prediction, steps: number): Level[] {
  if (!Number.isInteger(steps) || steps < 1 || steps > trainSteps)
    throw new RangeError(
      `Expected a whole number from 1 to ${trainSteps} for the sampler's steps, received ${steps}.`,
    );
  const timesteps =
    prediction === "flow"
      ? Array.from({ length: steps }, (_, i) => (trainSteps * (steps - i)) / steps)
      : respacedTimesteps(steps).reverse();
  return timesteps.map((timestep) => levelAt(prediction, timestep));
}

/** `steps` of 0..999, the first and the last among them, evenly spaced and rounded, a half to the even neighbour. */
export function respacedTimesteps(steps: number): number[] {
  if (steps === 1) return [0];
  return Array.from({ length: steps }, (_, i) => {
    const place = (i * (trainSteps - 1)) / (steps - 1);
    const isHalf = (2 * i * (trainSteps - 1)) % (steps - 1) === 0 && !Number.isInteger(place);
    return isHalf ? 2 * Math.round(place / 2) : Math.round(place);
  });
}
