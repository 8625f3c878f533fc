// The training side of diffusion: noise a latent, and what the network should say about it (spec section 6).
import { Tensor } from "../torch/index.js";
import type { Prediction } from "./config.js";
import { type Level, levelAt, trainSteps } from "./schedule.js";

/** A draw in [0, 1) as a timestep: whole for noise and velocity, any in [0, 1000) for flow. */
export function timestepOf(prediction: Prediction, uniform: number): number {
  const place = uniform * trainSteps;
  return prediction === "flow" ? place : Math.floor(place);
}

export interface NoisedLatents {
  /** float32 [B, N, c] */
  readonly noised: Tensor;
  /** What the network should predict, float32 [B, N, c]. */
  readonly target: Tensor;
  /** float32 [B], for the network. */
  readonly timesteps: Tensor;
}

/** latents and noise [B, N, c]; one timestep a sample. */
export function addNoise(
  prediction: Prediction,
  latents: Tensor,
  { noise, timesteps }: { noise: Tensor; timesteps: readonly number[] },
): NoisedLatents {
  const levels = timesteps.map((timestep) => levelAt(prediction, timestep));
  const column = (of: (level: Level) => number) =>
    Tensor.from(levels.map(of), [levels.length, 1, 1], { device: latents.device });
  const [signal, sigma] = [column((level) => level.signal), column((level) => level.sigma)];
  const targets = {
    noise: () => noise,
    velocity: () => noise.mul(signal).sub(latents.mul(sigma)),
    flow: () => noise.sub(latents),
  };
  return {
    noised: latents.mul(signal).add(noise.mul(sigma)),
    target: targets[prediction](),
    timesteps: Tensor.from(timesteps, [timesteps.length], { device: latents.device }),
  };
}
