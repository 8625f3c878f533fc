// AdamW with clipping for a GPU: all parameters in one launch, float32 masters beside bfloat16 working copies, and a moving
// average where one is wanted. The plain twin is adamw.ts with clip.ts and ema.ts; the state has the same names, so a run may
// go on with either.
import {
  call,
  type DType,
  float,
  int,
  type Kernel,
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
  /** Of the working copies. */
  dtype?: DType;
  /** Tensors that follow the learning parameters of the same names: average <- decay average + (1 - decay) parameter. */
  averages?: Readonly<Record<string, Tensor>> | undefined;
}

/** A parameter's place in the flat tensors. */
interface Slot {
  readonly name: string;
  readonly parameter: Tensor;
  readonly offset: number;
  readonly count: number;
}

const chunk = 8192; // elements that a block of threads takes
export const aligned = 64; // each tensor starts at a multiple of 128 bytes, as matrix products like it

export class FusedAdamW {
  readonly #slots: Slot[];
  readonly #options: Required<Omit<FusedAdamWOptions, "averages">>;
  readonly #device: string;
  readonly #flat: {
    readonly master: Tensor;
    readonly expAvg: Tensor;
    readonly expAvgSq: Tensor;
    readonly working: Tensor;
    readonly average?: Tensor;
  };
  readonly #copies: Tensor[];
  /** Updates made, the last norm, the factor it was clipped by; and the learning rate with the weight of what is new to the average. */
  readonly #state: Tensor;
  readonly #rates: Tensor;
  /** What the kernels know of each tensor: blocks, counts, offsets; kinds once gradients are there. */
  readonly #tables: { blocks: Tensor; counts: Tensor; offsets: Tensor; parts: Tensor };
  #kinds: { key: string; tensor: Tensor } | undefined;

  /**
   * Moves the parameters' numbers, and the averages', into flat tensors, of which they become views, and makes the
   * parameters' working copies.
   */
  constructor(
    parameters: Iterable<[name: string, parameter: Tensor]>,
    { averages, ...options }: FusedAdamWOptions = {},
  ) {
    this.#options = {
      ...{ betas: [0.9, 0.95], eps: 1e-8, weightDecay: 1e-4, dtype: "bfloat16" },
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
    const device = this.#device;
    const flat = (dtype: DType = "float32") => zeros([offset], { device, dtype });
    this.#flat = keep({
      ...{ master: flat(), expAvg: flat(), expAvgSq: flat(), working: flat(this.#options.dtype) },
      ...(averages ? { average: flat() } : {}),
    });
    this.#state = keep(zeros([3], { device }));
    this.#rates = keep(zeros([2], { device }));
    this.#tables = tablesOf(this.#slots, device);
    this.#copies = scope(() =>
      noGrad(() => this.#slots.map((slot) => this.#adopt(slot, averages))),
    );
    this.#setCopies(true);
    this.refresh();
  }

  /** Points a parameter, and its average, at their places in the flat tensors; makes the working copy. */
  #adopt(slot: Slot, averages: FusedAdamWOptions["averages"]): Tensor {
    const move = (tensor: Tensor, flat: Tensor) => {
      const place = view(flat, slot);
      place.copy_(tensor);
      call("set_.source_Tensor", tensor, place);
    };
    move(slot.parameter, this.#flat.master);
    if (this.#flat.average) move(averages![slot.name]!, this.#flat.average);
    return keep(view(this.#flat.working, slot).detach()).requiresGrad_();
  }

  #setCopies(on: boolean): void {
    for (const [i, { parameter }] of this.#slots.entries())
      setWorking(parameter, on ? this.#copies[i] : undefined);
  }

  /** Meanwhile the model computes with its parameters themselves, in float32, as it will when it was saved. */
  async withMasters<T>(fn: () => Promise<T>): Promise<T> {
    this.#setCopies(false);
    try {
      return await fn();
    } finally {
      this.#setCopies(true);
    }
  }

  /** Writes the working copies anew, after the masters were changed by others. */
  refresh(): void {
    noGrad(() => this.#flat.working.copy_(this.#flat.master));
  }

  /** The rates of the updates to come, and the average's decay: where update() is part of a graph, this is not. */
  setRate(lr: number, decay = 1): void {
    noGrad(() =>
      scope(() => {
        this.#rates.narrow(0, 0, 1).fill_(lr);
        if (this.#flat.average) this.#rates.narrow(0, 1, 1).fill_(1 - decay);
      }),
    );
  }

  /**
   * Measures the gradients' joint norm, by which update() scales them to at most `maxNorm`. Returns the norm, one number that
   * lives as long as this; where it is no finite number, the next update changes nothing.
   */
  clip(maxNorm: number): Tensor {
    const { parts } = this.#tables;
    const count = parts.numel;
    return noGrad(() => {
      scope(() => {
        const { gradients, blocks, counts, kinds } = this.#gradients();
        const squares = [gradients, blocks, counts, kinds, parts];
        launch(this.#kernel("grad_squares"), size(count), squares);
        const factor = [parts, int(count), float(maxNorm), this.#state];
        launch(this.#kernel("clip_factor"), size(1), factor);
      });
      return this.#state.narrow(0, 1, 1);
    });
  }

  /** One update, after clip(). */
  update(): void {
    const { betas, eps, weightDecay } = this.#options;
    const { master, expAvg, expAvgSq, working: copies, average = master } = this.#flat;
    noGrad(() =>
      scope(() => {
        const { gradients, blocks, counts, kinds } = this.#gradients();
        launch(this.#kernel("adamw"), size(this.#tables.parts.numel), [
          ...[gradients, blocks, counts, kinds, this.#tables.offsets],
          ...[master, expAvg, expAvgSq, copies, average, this.#state, this.#rates],
          ...[float(betas[0]), float(betas[1]), float(eps), float(weightDecay)],
        ]);
      }),
    );
  }

  #gradients() {
    const gradients = this.#slots.map(({ parameter }) => working(parameter).grad ?? parameter.grad);
    const { blocks, counts } = this.#tables;
    return { gradients, blocks, counts, kinds: this.#kindsOf(gradients) };
  }

  /** Where the last backward pass left gradients: the working copies, or parameters that are computed with as they are. */
  protected leaves(): [name: string, leaf: Tensor][] {
    const all = this.#slots.map(({ name, parameter }): [string, Tensor] => {
      const copy = working(parameter);
      return [name, copy.grad ? copy : parameter];
    });
    return all.filter(([, leaf]) => leaf.grad);
  }

  #kernel(name: string): Kernel {
    return loadKernel("adamw", name, this.#device, {
      ...{ COUNT: this.#slots.length, CHUNK: chunk },
      ELEMENT_BITS: this.#options.dtype === "bfloat16" ? 16 : 32,
      HAS_AVERAGE: Number(this.#flat.average !== undefined),
    });
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

  /** Parameters and averages keep their numbers. */
  dispose(): void {
    this.#setCopies(false);
    const owned = [...this.#copies, ...Object.values(this.#flat), this.#state, this.#rates];
    for (const tensor of [...owned, ...Object.values(this.#tables)]) tensor.dispose();
    this.#kinds?.tensor.dispose();
  }
}

const size = (grid: number): { grid: Size; block: Size } => ({ grid: [grid], block: [256] });

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
