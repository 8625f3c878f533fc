// Mean and standard deviation of posterior samples in each channel, exactly: over the noise, a sample's mean is the
// posterior's, and its mean square is mean^2 + variance. No noise is drawn.
import type { Posterior } from "../tokenizer/posterior.js";
import { cat, scope, type Tensor } from "../torch/index.js";

/** Sums over tokens, one number a channel; plain data, to save and to add up. */
export interface ChannelSums {
  /** Tokens. */
  readonly count: number;
  readonly values: readonly number[];
  readonly squares: readonly number[];
}

export interface ChannelStatistics {
  readonly mean: number[];
  readonly std: number[];
}

export const noSums = (channels: number): ChannelSums => ({
  count: 0,
  values: Array<number>(channels).fill(0),
  squares: Array<number>(channels).fill(0),
});

export function addSums(a: ChannelSums, b: ChannelSums): ChannelSums {
  const add = (x: readonly number[], y: readonly number[]) => x.map((value, i) => value + y[i]!);
  return {
    count: a.count + b.count,
    values: add(a.values, b.values),
    squares: add(a.squares, b.squares),
  };
}

/** moments [B, L, 2c], mean then log-variance, of any dtype; summed in float64. */
export function sumsOf(moments: Tensor): ChannelSums {
  return scope(() => {
    const [mean, logvar] = moments.to({ dtype: "float64" }).chunk(2, -1) as [Tensor, Tensor];
    const list = (x: Tensor) => [...(x.sum([0, 1]).toArray() as Float64Array)];
    return {
      count: moments.size(0) * moments.size(1),
      values: list(mean),
      squares: list(mean.square().add(logvar.exp())),
    };
  });
}

/** @throws an Error where there is nothing to summarise */
export function summarise({ count, values, squares }: ChannelSums): ChannelStatistics {
  if (count === 0) throw new Error("Expected latents to summarise, received none.");
  const mean = values.map((value) => value / count);
  const std = squares.map((square, i) => Math.sqrt(Math.max(0, square / count - mean[i]! ** 2)));
  return { mean, std };
}

/** [B, L, 2c]: mean, then log-variance, as Posterior takes them. */
export const momentsOf = ({ mean, logvar }: Posterior): Tensor => cat([mean, logvar], -1);
