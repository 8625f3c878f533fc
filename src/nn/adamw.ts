// AdamW over named parameters, one fused libtorch call a group. Decay is decoupled and meets matrices only.
import { call, keep, noGrad, type Tensor, zeros, zerosLike } from "../torch/index.js";

export interface AdamWOptions {
  betas?: readonly [number, number];
  eps?: number;
  weightDecay?: number;
}

interface Slot {
  readonly name: string;
  readonly parameter: Tensor;
  readonly expAvg: Tensor;
  readonly expAvgSq: Tensor;
  /** Updates made, one float32: the fused kernel reads it where the parameter lives. */
  readonly step: Tensor;
}

export class AdamW {
  readonly #groups: { weightDecay: number; slots: Slot[] }[];
  readonly #betas: readonly [number, number];
  readonly #eps: number;

  constructor(parameters: Iterable<[name: string, parameter: Tensor]>, options: AdamWOptions = {}) {
    const { betas = [0.9, 0.95], eps = 1e-8, weightDecay = 1e-4 } = options;
    this.#betas = betas;
    this.#eps = eps;
    const learning = [...parameters].filter(([, parameter]) => parameter.requiresGrad);
    const group = (weightDecay: number, members: typeof learning) => ({
      weightDecay,
      slots: members.map(createSlot),
    });
    this.#groups = [
      group(
        weightDecay,
        learning.filter(([, parameter]) => parameter.ndim > 1),
      ),
      group(
        0,
        learning.filter(([, parameter]) => parameter.ndim <= 1),
      ),
    ];
  }

  /** One update with the gradients that are there; parameters without one stay as they are. */
  step(lr: number): void {
    noGrad(() => {
      for (const { weightDecay, slots } of this.#groups) {
        const withGradient = slots.flatMap((slot) => {
          const gradient = slot.parameter.grad;
          return gradient ? [{ ...slot, gradient }] : [];
        });
        if (!withGradient.length) continue;
        const steps = withGradient.map((slot) => slot.step);
        call<undefined>("_foreach_add_.Scalar", steps, 1);
        call<undefined>(
          "_fused_adamw_",
          withGradient.map((slot) => slot.parameter),
          withGradient.map((slot) => slot.gradient),
          withGradient.map((slot) => slot.expAvg),
          withGradient.map((slot) => slot.expAvgSq),
          [],
          steps,
          lr,
          ...this.#betas,
          weightDecay,
          this.#eps,
          false,
          false,
        );
      }
    });
  }

  zeroGrad(): void {
    for (const { slots } of this.#groups) for (const { parameter } of slots) parameter.grad = null;
  }

  /** The moments and step counts by parameter: `exp_avg.<name>`, `exp_avg_sq.<name>`, `step.<name>`. */
  stateDict(): Record<string, Tensor> {
    return Object.fromEntries(
      this.#groups.flatMap(({ slots }) =>
        slots.flatMap(({ name, expAvg, expAvgSq, step }) => [
          [`exp_avg.${name}`, expAvg],
          [`exp_avg_sq.${name}`, expAvgSq],
          [`step.${name}`, step],
        ]),
      ),
    );
  }

  /** Copies a saved state back. @throws an Error naming the first tensor that is missing. */
  loadStateDict(tensors: Readonly<Record<string, Tensor>>): void {
    noGrad(() => {
      for (const [name, own] of Object.entries(this.stateDict())) {
        const saved = tensors[name];
        if (!saved)
          throw new Error(
            `Expected ${name} in the optimizer's state, found none. The checkpoint is of another model.`,
          );
        own.copy_(saved);
      }
    });
  }

  dispose(): void {
    for (const tensor of Object.values(this.stateDict())) tensor.dispose();
  }
}

function createSlot([name, parameter]: [string, Tensor]): Slot {
  const [expAvg, expAvgSq] = noGrad(() => [zerosLike(parameter), zerosLike(parameter)]) as [
    Tensor,
    Tensor,
  ];
  return keep({ name, parameter, expAvg, expAvgSq, step: zeros([], { device: parameter.device }) });
}
