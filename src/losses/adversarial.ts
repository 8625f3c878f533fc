// The two sides of the GAN over a discriminator's logits, hinge (paper, section 2), and two regularisers of its training.
// Everything is float32 and one number; logits [N].
import { grad, scope, type Tensor } from "../torch/index.js";

const float32 = (x: Tensor): Tensor => x.to({ dtype: "float32" });

/** The decoder's side: -mean D(y). */
export function adversarialLoss(fake: Tensor): Tensor {
  return scope(() => float32(fake).mean().neg());
}

/** The discriminator's side: 1/2 (mean relu(1 - D(x)) + mean relu(1 + D(y))); 1 by chance, 0 when all are told apart. */
export function discriminatorLoss(logits: { real: Tensor; fake: Tensor }): Tensor {
  return scope(() => {
    const real = float32(logits.real).neg().add(1).relu().mean();
    const fake = float32(logits.fake).add(1).relu().mean();
    return real.add(fake).div(2);
  });
}

/**
 * R1 (Mescheder 2018, arXiv 1801.04406): half the squared norm of dD(x)/dx, mean over real pictures. `pixels` [N, ...] needs a
 * gradient, and `logits` come of it; the result can be differentiated again.
 */
export function r1Penalty(logits: Tensor, pixels: Tensor): Tensor {
  return scope(() => {
    const [slope] = grad([float32(logits).sum()], [pixels], { createGraph: true });
    return float32(slope!)
      .square()
      .sum()
      .div(2 * pixels.size(0));
  });
}

/** Running means of the discriminator's logits. */
export interface LogitAnchors {
  readonly real: number;
  readonly fake: number;
}

/**
 * LeCam's regulariser (Tseng 2021, arXiv 2104.03310): real logits are held to the running mean of fake ones, and the reverse:
 * mean relu(D(x) - anchor.fake)^2 + mean relu(anchor.real - D(y))^2.
 */
export function leCamPenalty(
  logits: { real: Tensor; fake: Tensor },
  anchors: LogitAnchors,
): Tensor {
  return scope(() => {
    const real = float32(logits.real).sub(anchors.fake).relu().square().mean();
    const fake = float32(logits.fake).neg().add(anchors.real).relu().square().mean();
    return real.add(fake);
  });
}
