// AdamW with clipping for a GPU: all parameters in one launch, float32 masters beside bfloat16 working copies. The plain twin
// is adamw.ts with clip.ts; the state has the same names, so a run may go on with either.
import {
  call,
  type DType,
  float,
  int,
  keep,
  launch,
  loadKernel,
  noGrad,
  type Size,
  scope,
  Tensor,
  zeros,
} from "../torch/index.js";
import type { AdamWOptions } from "./adamw.js";
import { setWorking, working } from "./working.js";

export interface FusedAdamWOptions extends AdamWOptions {
  /** Gradients are scaled so that their joint norm is at most this. */
  maxGradNorm?: number;
  /** Of the working copies. */
  dtype?: DType;
}

/** A parameter's place in the flat tensors. */
interface Slot {
  readonly name: string;
  readonly parameter: Tensor;
  readonly offset: number;
  readonly count: number;
}

const chunk = 8192; // elements that a block of threads takes
const aligned = 64; // each tensor starts at a multiple of 128 bytes, as matrix products like it

export class FusedAdamW {
  readonly #slots: Slot[];
  readonly #options: Required<FusedAdamWOptions>;
  readonly #device: string;
  readonly #flat: { master: Tensor; expAvg: Tensor; expAvgSq: Tensor; working: Tensor };
  readonly #copies: Tensor[];
  /** Updates made, the last norm, the factor it was clipped by; and the learning rate. */
  readonly #state: Tensor;
  readonly #rate: Tensor;
  /** What the kernels know of each tensor: blocks, counts, offsets; kinds once gradients are there. */
  readonly #tables: { blocks: Tensor; counts: Tensor; offsets: Tensor; parts: Tensor };
  #kinds: { key: string; tensor: Tensor } | undefined;

  /** Moves the parameters' numbers into one flat tensor, of which they become views, and makes their working copies. */
  constructor(parameters: Iterable<[name: string, parameter: Tensor]>, options: FusedAdamWOptions) {
    this.#options = {
      ...{ betas: [0.9, 0.95], eps: 1e-8, weightDecay: 1e-4, maxGradNorm: 1, dtype: "bfloat16" },
      ...options,
    };
    let offset = 0;
    this.#slots = [...parameters]
      .filter(([, parameter]) => parameter.requiresGrad)
      .map(([name, parameter]) => {
        const slot = { name, parameter, offset, count: parameter.numel };
        offset += Math.ceil(slot.count / aligned) * aligned;
        return slot;
      });
    this.#device = this.#slots[0]!.parameter.device;
    const [total, device] = [offset, this.#device];
    this.#flat = keep({
      master: zeros([total], { device }),
      expAvg: zeros([total], { device }),
      expAvgSq: zeros([total], { device }),
      working: zeros([total], { device, dtype: this.#options.dtype }),
    });
    this.#state = keep(zeros([3], { device }));
    this.#rate = keep(zeros([1], { device }));
    this.#tables = tablesOf(this.#slots, device);
    this.#copies = scope(() => noGrad(() => this.#slots.map((slot) => this.#adopt(slot))));
    this.refresh();
  }

  /** Points a parameter at its place in the flat masters, and gives it its working copy. */
  #adopt(slot: Slot): Tensor {
    const { parameter } = slot;
    const master = view(this.#flat.master, slot);
    master.copy_(parameter);
    call("set_.source_Tensor", parameter, master);
    const copy = keep(view(this.#flat.working, slot).detach()).requiresGrad_();
    setWorking(parameter, copy);
    return copy;
  }

  /** Writes the working copies anew, after the masters were changed by others. */
  refresh(): void {
    noGrad(() => this.#flat.working.copy_(this.#flat.master));
  }

  /**
   * Clips and makes one update. Returns the norm before clipping, one number that lives as long as this; where it is no
   * finite number, nothing was updated.
   */
  step(lr?: number): Tensor {
    return noGrad(() => {
      if (lr !== undefined) this.setRate(lr);
      scope(() => this.#launch());
      return this.#state.narrow(0, 1, 1);
    });
  }

  /** The learning rate of the updates to come: where step() is part of a graph, this is not. */
  setRate(lr: number): void {
    this.#rate.fill_(lr);
  }

  #launch(): void {
    const gradients = this.#slots.map(({ parameter }) => working(parameter).grad ?? parameter.grad);
    const { blocks, counts, offsets, parts } = this.#tables;
    const { betas, eps, weightDecay, maxGradNorm, dtype } = this.#options;
    const kinds = this.#kindsOf(gradients);
    const constants = {
      ...{ COUNT: gradients.length, CHUNK: chunk },
      ELEMENT_BITS: dtype === "bfloat16" ? 16 : 32,
    };
    const kernel = (name: string) => loadKernel("adamw", name, this.#device, constants);
    const size = (grid: number): { grid: Size; block: Size } => ({ grid: [grid], block: [256] });
    const count = parts.numel;
    launch(kernel("grad_squares"), size(count), [gradients, blocks, counts, kinds, parts]);
    launch(kernel("clip_factor"), size(1), [parts, int(count), float(maxGradNorm), this.#state]);
    const { master, expAvg, expAvgSq, working: copies } = this.#flat;
    launch(kernel("adamw"), size(count), [
      ...[gradients, blocks, counts, kinds, offsets, master, expAvg, expAvgSq, copies],
      ...[this.#state, this.#rate],
      ...[float(betas[0]), float(betas[1]), float(eps), float(weightDecay)],
    ]);
  }

  /** For each tensor: bit 0 decays (matrices only), bit 1 has a float32 gradient. Made anew where a dtype changed. */
  #kindsOf(gradients: readonly (Tensor | null)[]): Tensor {
    const kinds = this.#slots.map(
      ({ parameter }, i) =>
        Number(parameter.ndim > 1) +
        2 * Number(gradients[i]?.dtype === "float32" && this.#options.dtype !== "float32"),
    );
    const key = kinds.join();
    if (this.#kinds?.key !== key) {
      this.#kinds?.tensor.dispose();
      const tensor = keep(Tensor.from(Int32Array.from(kinds), undefined, { device: this.#device }));
      this.#kinds = { key, tensor };
    }
    return this.#kinds.tensor;
  }

  zeroGrad(): void {
    for (const { parameter } of this.#slots) {
      parameter.grad = null;
      working(parameter).grad = null;
    }
  }

  /** As AdamW's: `exp_avg.<name>`, `exp_avg_sq.<name>`, `step.<name>`. */
  stateDict(): Record<string, Tensor> {
    const step = this.#state.select(0, 0);
    return Object.fromEntries(
      this.#slots.flatMap((slot) => [
        [`exp_avg.${slot.name}`, view(this.#flat.expAvg, slot)],
        [`exp_avg_sq.${slot.name}`, view(this.#flat.expAvgSq, slot)],
        [`step.${slot.name}`, step],
      ]),
    );
  }

  /** Copies a saved state back; the masters are loaded by then. @throws an Error naming the first tensor that is missing. */
  loadStateDict(tensors: Readonly<Record<string, Tensor>>): void {
    scope(() =>
      noGrad(() => {
        for (const [name, own] of Object.entries(this.stateDict())) {
          const saved = tensors[name];
          if (!saved)
            throw new Error(
              `Expected ${name} in the optimizer's state, found none. The checkpoint is of another model.`,
            );
          own.copy_(saved);
        }
      }),
    );
    this.refresh();
  }

  /** The parameters keep their numbers. */
  dispose(): void {
    for (const { parameter } of this.#slots) setWorking(parameter, undefined);
    const { blocks, counts, offsets, parts } = this.#tables;
    const owned = [...this.#copies, ...Object.values(this.#flat), this.#state, this.#rate];
    for (const tensor of [...owned, blocks, counts, offsets, parts]) tensor.dispose();
    this.#kinds?.tensor.dispose();
  }
}

function view(flat: Tensor, { offset, count, parameter }: Slot): Tensor {
  return flat.narrow(0, offset, count).view(parameter.shape);
}

function tablesOf(slots: readonly Slot[], device: string) {
  const blocks = slots.flatMap(({ count }, index) =>
    Array.from({ length: Math.ceil(count / chunk) }, (_, i) => [index, i * chunk]).flat(),
  );
  const counts = slots.map(({ count }) => count);
  const offsets = slots.map(({ offset }) => BigInt(offset));
  return scope(() =>
    keep({
      blocks: Tensor.from(Int32Array.from(blocks), [blocks.length / 2, 2], { device }),
      counts: Tensor.from(Int32Array.from(counts), undefined, { device }),
      offsets: Tensor.from(BigInt64Array.from(offsets), undefined, { device }),
      parts: zeros([blocks.length / 2], { device }),
    }),
  );
}
