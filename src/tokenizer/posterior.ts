// The diagonal Gaussian q(z|x) of the bottleneck (spec sections 1 and 2). Always float32.
import type { Grid } from "../nn/rope.js";
import { scope, type Tensor } from "../torch/index.js";
import { drawFused, suitsDraw } from "./fused-posterior.js";

/** Pixels of an input, before any padding. */
export interface ClipSize {
  readonly frames: number;
  readonly height: number;
  readonly width: number;
}

export class Posterior {
  /** [B, L, c] */
  readonly mean: Tensor;
  /** [B, L, c], in [-30, 20] */
  readonly logvar: Tensor;

  constructor(
    /** [B, L, 2c], mean then log-variance, as the model gave them. */
    readonly moments: Tensor,
    /** Tokens over (time, row, column) of the padded input. */
    readonly grid: Grid,
    /** What to crop a reconstruction to. */
    readonly size: ClipSize,
  ) {
    const [mean, logvar] = moments.to({ dtype: "float32" }).chunk(2, -1) as [Tensor, Tensor];
    this.mean = mean;
    this.logvar = logvar.clamp(-30, 20);
  }

  /** mean + std * noise; `noise` [B, L, c] is standard normal (see data/noise.ts for noise that a seed and sample decide). */
  sample(noise: Tensor): Tensor {
    return sampleGaussian(this, noise);
  }

  /** What training needs: sample(noise) and kl(), on a GPU in one pass each way. */
  draw(noise: Tensor): { latent: Tensor; kl: Tensor } {
    return scope(() =>
      suitsDraw(this.moments, noise)
        ? drawFused(this.moments, noise)
        : { latent: this.sample(noise), kl: this.kl() },
    );
  }

  /** The most likely latent, what evaluation decodes. */
  mode(): Tensor {
    return this.mean;
  }

  /** KL divergence to the standard normal in nats, averaged (not summed) over all latent elements. */
  kl(): Tensor {
    const { mean, logvar } = this;
    return mean.square().add(logvar.exp()).sub(1).sub(logvar).mean().mul(0.5);
  }
}

/** mean + std * noise, all of one shape. */
export function sampleGaussian(
  { mean, logvar }: { readonly mean: Tensor; readonly logvar: Tensor },
  noise: Tensor,
): Tensor {
  return scope(() => mean.add(logvar.mul(0.5).exp().mul(noise)));
}
