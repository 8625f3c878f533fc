// Watches a GAN run, step by step: is the discriminator too strong, are the reconstructions damaged? It backs off by itself
// and asks for a rollback; every decision is an event in run.jsonl. It decides from a step's numbers alone and keeps its own in the
// checkpoint, so a resumed run decides alike. Paper: figure 13, where a discriminator at twice its learning rate spoils a run.
import type { GanConfig } from "./gan-config.js";
import type { RunEvent } from "./recipe.js";

/** All it remembers: part of the recipe's numbers. */
export interface GuardNumbers {
  /** The learning rate of the discriminator and the weight of its term are multiplied by these. */
  discriminatorScale: number;
  adversarialScale: number;
  rollbacks: number;
  /** Steps watched since the start or the last rollback. */
  watched: number;
  /** The discriminator's hinge loss and the reconstruction's loss, smoothed. */
  hinge: number;
  recon: number;
  /** The reconstruction's loss over the first steps: what damage is measured by. */
  reconBase: number;
  /** Steps on end that the discriminator was too strong; 0: it is not. */
  strongSteps: number;
}

export const initialGuard: Readonly<GuardNumbers> = {
  ...{ discriminatorScale: 1, adversarialScale: 1, rollbacks: 0 },
  ...{ watched: 0, hinge: 1, recon: 0, reconBase: 0, strongSteps: 0 },
};

/** What a step tells the guard. */
export interface Observed {
  readonly hinge: number;
  /** The decoder's loss without the GAN term. */
  readonly recon: number;
  /** Of the GAN term: while it is 0, a strong discriminator is said and left alone. */
  readonly weight: number;
}

export interface Verdict {
  readonly events: readonly RunEvent[];
  /** Why training should go back. */
  readonly rollback?: string;
}

const leastScale = 1 / 64;

export class GanGuard {
  /** Steps that a state has to last before something is done about it, and of the smoothing. */
  readonly patience: number;

  constructor(
    private readonly gan: Pick<
      GanConfig,
      "guard" | "strongBelow" | "damageAbove" | "mostRollbacks"
    >,
    steps: number,
    private readonly numbers: GuardNumbers,
  ) {
    this.patience = Math.max(10, Math.round(steps / 100));
  }

  /** Nothing is wrong: a state to come back to. */
  get isGood(): boolean {
    const { strongSteps, recon, reconBase } = this.numbers;
    return strongSteps === 0 && (reconBase === 0 || recon < reconBase * this.#warningRatio);
  }

  get #warningRatio(): number {
    return (1 + this.gan.damageAbove) / 2;
  }

  observe({ hinge, recon, weight }: Observed): Verdict {
    const { numbers, gan } = this;
    const { damageAbove } = gan;
    const share = 1 / Math.min(++numbers.watched, this.patience);
    numbers.hinge += share * (hinge - numbers.hinge);
    numbers.recon += share * (recon - numbers.recon);
    if (numbers.reconBase === 0 && numbers.watched >= this.patience)
      numbers.reconBase = numbers.recon;
    const events = this.#watchStrength(weight);
    const isDamaged =
      numbers.reconBase > 0 && weight > 0 && numbers.recon > damageAbove * numbers.reconBase;
    if (!isDamaged || !gan.guard) return { events };
    const ratio = (numbers.recon / numbers.reconBase).toFixed(2);
    return { events, rollback: `the reconstruction loss is ${ratio} times that of the start` };
  }

  #watchStrength(weight: number): RunEvent[] {
    const { numbers, gan, patience } = this;
    const wasStrong = numbers.strongSteps > 0;
    const isStrong =
      numbers.watched >= patience && numbers.hinge < gan.strongBelow * (wasStrong ? 2 : 1);
    numbers.strongSteps = isStrong ? numbers.strongSteps + 1 : 0;
    const hinge = `its smoothed hinge loss is ${numbers.hinge.toFixed(3)} (1 by chance)`;
    if (wasStrong && !isStrong)
      return [
        {
          kind: "discriminator-eased",
          text: `the discriminator is no longer too strong: ${hinge}`,
        },
      ];
    const events: RunEvent[] = [];
    if (isStrong && !wasStrong)
      events.push({
        kind: "discriminator-too-strong",
        text: `the discriminator is too strong: ${hinge}`,
      });
    const isDue = isStrong && weight > 0 && numbers.strongSteps % patience === 0;
    if (isDue && gan.guard && numbers.discriminatorScale > leastScale) {
      numbers.discriminatorScale /= 2;
      events.push({
        kind: "back-off",
        text: `too strong for ${numbers.strongSteps} steps: the discriminator's learning rate is now ${numbers.discriminatorScale} of the recipe's`,
      });
    }
    return events;
  }

  /** The numbers are those of an earlier checkpoint again; `lost` are those given up. @throws an Error after too many. */
  recover(lost: Readonly<Record<string, number>>): RunEvent {
    const { numbers, gan } = this;
    const before = { ...initialGuard, ...lost };
    numbers.rollbacks = before.rollbacks + 1;
    if (numbers.rollbacks > gan.mostRollbacks)
      throw new Error(
        `Expected a GAN that trains, received one that went wrong again after ${gan.mostRollbacks} rollbacks. ` +
          "Lower gan.peakLr or losses.adversarial, or add gan.r1.",
      );
    numbers.discriminatorScale = Math.max(leastScale, before.discriminatorScale / 2);
    numbers.adversarialScale = before.adversarialScale / 2;
    return {
      kind: "back-off",
      text: `the discriminator's learning rate is now ${numbers.discriminatorScale} of the recipe's, the GAN weight ${numbers.adversarialScale}`,
    };
  }
}
