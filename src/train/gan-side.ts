// The discriminator's half of a stage-2 step: what it says of reconstructions and pictures, its own loss, its update.
import {
  adversarialLoss,
  discriminatorLoss,
  leCamPenalty,
  r1Penalty,
} from "../losses/adversarial.js";
import { Discriminator } from "../losses/discriminator.js";
import { parameters } from "../nn/parameters.js";
import { foldFrames } from "../perceptual/frames.js";
import { autocast, type ProcessGroup, scope, type Tensor } from "../torch/index.js";
import { shortestSide } from "./buckets.js";
import type { TrainConfig } from "./config.js";
import { discriminatorLr, type GanConfig } from "./gan-config.js";
import { randomSquares } from "./keyed-noise.js";
import { createLearner, type Learner } from "./learner.js";

/** One logit a picture, or a frame. */
export interface Judged {
  readonly real: Tensor;
  readonly fake: Tensor;
  /** What `real` was computed from: [N, 3, S, S]. */
  readonly pictures: Tensor;
}

/** Running means of the logits, for LeCam; kept with the recipe's other numbers. */
export interface LogitMeans {
  leCamReal: number;
  leCamFake: number;
}

const leCamDecay = 0.99;

export class GanSide {
  readonly discriminator: Discriminator;
  readonly optimizer: Learner;
  readonly #device: string;

  constructor(
    private readonly config: TrainConfig,
    private readonly gan: GanConfig,
    { device, group }: { device: string; group: ProcessGroup | undefined },
  ) {
    this.#device = device;
    const { losses, seed, train } = config;
    const side = losses.cropSize || shortestSide(config);
    const size = 2 ** Math.floor(Math.log2(Math.min(256, side)));
    this.discriminator = Discriminator.create(size, { width: gan.width, seed: seed + 1, device });
    this.optimizer = createLearner(parameters(this.discriminator), { ...train, group });
  }

  /** recon and pixels [B, 3, T, H, W]; of other sizes than the discriminator's, a random square. Under the caller's autocast. */
  judge(recon: Tensor, pixels: Tensor, indices: readonly number[]): Judged {
    const { size } = this.discriminator;
    const squares = randomSquares([recon, pixels] as const, size, {
      ...{ seed: this.config.seed, indices, of: "discriminatorCrop" },
    });
    const [fakes, pictures] = squares.map(foldFrames) as [Tensor, Tensor];
    return {
      real: this.discriminator.forward(pictures),
      fake: this.discriminator.forward(fakes),
      pictures,
    };
  }

  /** The decoder's term. */
  term({ fake }: Judged): Tensor {
    return adversarialLoss(fake);
  }

  /** Adds this micro-batch's share to the discriminator's gradients; tells what there is to see. */
  backward(judged: Judged, step: number, means: LogitMeans): Record<string, number> {
    const { leCam, r1, r1Every } = this.gan;
    return scope(() => {
      const hinge = discriminatorLoss(judged);
      const anchors = { real: means.leCamReal, fake: means.leCamFake };
      const penalties = {
        ...(leCam ? { leCam: leCamPenalty(judged, anchors) } : {}),
        ...(r1 && step % r1Every === 0 ? { r1: this.#slope(judged.pictures) } : {}),
      };
      const weights = { leCam, r1: r1 * r1Every }; // lazily, and that much heavier
      const loss = Object.entries(penalties).reduce(
        (sum, [name, penalty]) => sum.add(penalty.mul(weights[name as keyof typeof weights])),
        hinge,
      );
      // Once for all of it: where processes sum gradients, they do so as the first backward pass ends.
      loss.div(this.config.train.accumulate).backward();
      const told = Object.entries({ hinge, ...penalties });
      return {
        ...Object.fromEntries(told.map(([name, term]) => [name, term.item()])),
        realLogit: judged.real.mean().item(),
        fakeLogit: judged.fake.mean().item(),
        toldApart: shareToldApart(judged),
      };
    });
  }

  /** R1, in float32. */
  #slope(pictures: Tensor): Tensor {
    const leaf = pictures.detach().requiresGrad_();
    return autocast({ device: this.#device, dtype: "float32" }, () =>
      r1Penalty(this.discriminator.forward(leaf), leaf),
    );
  }

  clip(): number {
    return this.optimizer.clip(this.config.train.maxGradNorm).item();
  }

  /** Returns the rate of the update made. */
  update(step: number, scale: number): number {
    const lr = discriminatorLr(this.gan, step) * scale;
    this.optimizer.step(lr);
    return lr;
  }

  dispose(): void {
    this.optimizer.zeroGrad();
    this.optimizer.dispose();
    this.discriminator.dispose();
  }
}

/** After a step: LeCam's running means follow its logits. */
export function followLogits(
  means: LogitMeans,
  { realLogit = 0, fakeLogit = 0 }: Readonly<Record<string, number>>,
): void {
  means.leCamReal = leCamDecay * means.leCamReal + (1 - leCamDecay) * realLogit;
  means.leCamFake = leCamDecay * means.leCamFake + (1 - leCamDecay) * fakeLogit;
}

/** Share of pictures on the right side of 0: a half by chance, 1 when all are told apart. */
function shareToldApart({ real, fake }: Judged): number {
  const share = (isRight: Tensor) => isRight.to({ dtype: "float32" }).mean().item();
  return (share(real.gt(0)) + share(fake.lt(0))) / 2;
}
