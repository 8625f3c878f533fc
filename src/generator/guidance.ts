// Classifier-free guidance: away from what the network says without a class, on all channels; only at some noise levels,
// and scaled back to the spread of the unguided prediction, where asked.
import { cat, type Tensor } from "../torch/index.js";
import { type Level, trainSteps } from "./schedule.js";

export interface Guidance {
  /** 1: none, and half the work. */
  readonly scale: number;
  /** Share of the timesteps, from and to within [0, 1], where guidance acts; elsewhere the scale is 1. */
  readonly interval?: readonly [number, number] | undefined;
  /** 0 to 1: how far a sample's standard deviation is brought back to that of the unguided prediction. */
  readonly rescale?: number | undefined;
}

/** x [B, N, c] and labels int64 [B] at one level -> the prediction [B, N, c]. */
export type Predictor = (x: Tensor, level: Level, labels: Tensor) => Tensor;

/** @throws RangeError for a scale, interval or rescale that is none */
export function requireGuidance({ scale, interval = [0, 1], rescale = 0 }: Guidance): void {
  const [from, to] = interval;
  const fail = (what: string, name: string, value: unknown): never => {
    throw new RangeError(`Expected ${what} for ${name}, received ${JSON.stringify(value)}.`);
  };
  if (!(Number.isFinite(scale) && scale >= 0)) fail("a number of at least 0", "guidance", scale);
  if (!(from >= 0 && from <= to && to <= 1))
    fail("two shares within 0 and 1, from and to,", "the guidance interval", interval);
  if (!(rescale >= 0 && rescale <= 1)) fail("a share from 0 to 1", "the guidance rescale", rescale);
}

/** A predictor that guides another; `nullLabels` int64 [B]. */
export function guide(predict: Predictor, guidance: Guidance, nullLabels: Tensor): Predictor {
  requireGuidance(guidance);
  const { scale, interval = [0, 1], rescale = 0 } = guidance;
  return (x, level, labels) => {
    const share = level.timestep / trainSteps;
    if (scale === 1 || share < interval[0] || share > interval[1]) return predict(x, level, labels);
    const both = predict(cat([x, x]), level, cat([labels, nullLabels]));
    const [conditional, unconditional] = both.chunk(2) as [Tensor, Tensor];
    const guided = unconditional.lerp(conditional, scale);
    if (rescale === 0) return guided;
    const factor = deviation(conditional)
      .div(deviation(guided))
      .mul(rescale)
      .add(1 - rescale);
    return guided.mul(factor);
  };
}

/** Of each sample: [B, N, c] -> [B, 1, 1] */
const deviation = (x: Tensor): Tensor => x.variance([1, 2], true).sqrt();
