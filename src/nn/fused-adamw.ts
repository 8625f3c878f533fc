// AdamW with clipping for a GPU: all parameters in one launch, float32 masters beside bfloat16 working copies, and a moving
// average where one is wanted. The plain twin is adamw.ts with clip.ts and ema.ts; the state has the same names, so a run may
// go on with either. One of several processes may update its share of them all: who brings the shares together is train/'s.
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
import {
  chunk,
  type FlatLayout,
  layOut,
  type Piece,
  type Share,
  type Slot,
  tablesOf,
  viewOf,
} from "./flat-layout.js";
import { setWorking, working } from "./working.js";

export interface FusedAdamWOptions extends AdamWOptions {
  /** Of the working copies. */
  dtype?: DType;
  /** Tensors that follow the learning parameters of the same names: average <- decay average + (1 - decay) parameter. */
  averages?: Readonly<Record<string, Tensor>> | undefined;
  /** Updates this part of the flat tensors only, and holds the moments of that. Default: all of it. */
  share?: Share;
}

export class FusedAdamW {
  readonly #layout: FlatLayout;
  readonly #options: Required<Omit<FusedAdamWOptions, "averages">>;
  readonly #device: string;
  /** Of all parameters, the moments aside: those are of this share. */
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
      ...{ share: { index: 0, count: 1 }, ...options },
    };
    this.#layout = layOut(parameters, this.#options.share);
    const { slots, total, part, pieces } = this.#layout;
    this.#device = slots[0]!.parameter.device;
    const device = this.#device;
    const flat = (count: number, dtype: DType = "float32") => zeros([count], { device, dtype });
    this.#flat = keep({
      ...{ master: flat(total), working: flat(total, this.#options.dtype) },
      ...{ expAvg: flat(part), expAvgSq: flat(part) },
      ...(averages ? { average: flat(total) } : {}),
    });
    this.#state = keep(zeros([3], { device }));
    this.#rates = keep(zeros([2], { device }));
    this.#tables = tablesOf(pieces, device);
    this.#copies = scope(() => noGrad(() => slots.map((slot) => this.#adopt(slot, averages))));
    this.#setCopies(true);
    this.refresh();
  }

  /** Points a parameter, and its average, at their places in the flat tensors; makes the working copy. */
  #adopt(slot: Slot, averages: FusedAdamWOptions["averages"]): Tensor {
    const move = (tensor: Tensor, flat: Tensor) => {
      const place = viewOf(flat, slot);
      place.copy_(tensor);
      call("set_.source_Tensor", tensor, place);
    };
    move(slot.parameter, this.#flat.master);
    if (this.#flat.average) move(averages![slot.name]!, this.#flat.average);
    return keep(viewOf(this.#flat.working, slot).detach()).requiresGrad_();
  }

  #setCopies(on: boolean): void {
    for (const [i, { parameter }] of this.#layout.slots.entries())
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
    return noGrad(() => {
      scope(() => {
        const { gradients, blocks, counts, kinds } = this.#gradients();
        const squares = [gradients, blocks, counts, kinds, parts];
        launch(this.#kernel("grad_squares"), size(parts.numel), squares);
        const all = this.sumShares(parts);
        const factor = [all, int(all.numel), float(maxNorm), this.#state];
        launch(this.#kernel("clip_factor"), size(1), factor);
      });
      return this.#state.narrow(0, 1, 1);
    });
  }

  /** One update, after clip(). */
  update(): void {
    const { betas, eps, weightDecay } = this.#options;
    const { expAvg, expAvgSq } = this.#flat;
    noGrad(() =>
      scope(() => {
        const { master, working: copies, average = master } = this.#own();
        const { gradients, blocks, counts, kinds } = this.#gradients();
        launch(this.#kernel("adamw"), size(this.#tables.parts.numel), [
          ...[gradients, blocks, counts, kinds, this.#tables.offsets],
          ...[master, expAvg, expAvgSq, copies, average, this.#state, this.#rates],
          ...[float(betas[0]), float(betas[1]), float(eps), float(weightDecay)],
        ]);
      }),
    );
  }

  /** This share of the flat tensors of all parameters. */
  #own() {
    const { index } = this.#options.share;
    const { part } = this.#layout;
    const { master, working: copies, average } = this.#flat;
    const own = (flat: Tensor) => flat.narrow(0, index * part, part);
    const also = average ? { average: own(average) } : {};
    return { master: own(master), working: own(copies), ...also };
  }

  #gradients() {
    const gradients = this.#layout.pieces.map((piece) => this.gradientOf(piece));
    const { blocks, counts } = this.#tables;
    return { gradients, blocks, counts, kinds: this.#kindsOf(gradients) };
  }

  /** Where a piece's gradient lies; for one that is not a whole parameter the heir says where. */
  protected gradientOf({ slot: { parameter } }: Piece): Tensor | null {
    return working(parameter).grad ?? parameter.grad;
  }

  /** The numbers whose sum is the gradients' square, of all shares. */
  protected sumShares(squares: Tensor): Tensor {
    return squares;
  }

  /** All of a moment, whose part of this share is given. */
  protected wholeMoment(part: Tensor): Tensor {
    return part;
  }

  /** For an heir that brings shares together. */
  protected get flat() {
    const { master, working: copies, average } = this.#flat;
    return { ...this.#layout, master, working: copies, average, dtype: this.#options.dtype };
  }

  /** Where the last backward pass left gradients: the working copies, or parameters that are computed with as they are. */
  protected leaves(): [name: string, leaf: Tensor][] {
    const all = this.#layout.slots.map(({ name, parameter }): [string, Tensor] => {
      const copy = working(parameter);
      return [name, copy.grad ? copy : parameter];
    });
    return all.filter(([, leaf]) => leaf.grad);
  }

  #kernel(name: string): Kernel {
    return loadKernel("adamw", name, this.#device, {
      ...{ COUNT: this.#layout.pieces.length, CHUNK: chunk },
      ELEMENT_BITS: this.#options.dtype === "bfloat16" ? 16 : 32,
      HAS_AVERAGE: Number(this.#flat.average !== undefined),
    });
  }

  /** For each piece: bit 0 decays (matrices only), bit 1 has a float32 gradient. Made anew where a dtype changed. */
  #kindsOf(gradients: readonly (Tensor | null)[]): Tensor {
    const kinds = this.#layout.pieces.map(
      ({ slot }, i) =>
        Number(slot.parameter.ndim > 1) +
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
    for (const { parameter } of this.#layout.slots) {
      parameter.grad = null;
      working(parameter).grad = null;
    }
  }

  /** As AdamW's, of all parameters: `exp_avg.<name>`, `exp_avg_sq.<name>`, `step.<name>`. */
  stateDict(): Record<string, Tensor> {
    const step = this.#state.select(0, 0);
    const [expAvg, expAvgSq] = [this.#flat.expAvg, this.#flat.expAvgSq].map((part) =>
      this.wholeMoment(part),
    ) as [Tensor, Tensor];
    return Object.fromEntries(
      this.#layout.slots.flatMap((slot) => [
        [`exp_avg.${slot.name}`, viewOf(expAvg, slot)],
        [`exp_avg_sq.${slot.name}`, viewOf(expAvgSq, slot)],
        [`step.${slot.name}`, step],
      ]),
    );
  }

  /** Copies a saved state back; the masters are loaded by then. @throws an Error naming the first tensor that is missing. */
  loadStateDict(tensors: Readonly<Record<string, Tensor>>): void {
    const find = (name: string) => {
      const saved = tensors[name];
      if (saved) return saved;
      throw new Error(
        `Expected ${name} in the optimizer's state, found none. The checkpoint is of another model.`,
      );
    };
    const { expAvg, expAvgSq } = this.#flat;
    scope(() =>
      noGrad(() => {
        const moments = { exp_avg: expAvg, exp_avg_sq: expAvgSq };
        for (const [key, own] of Object.entries(moments))
          for (const { slot, start, offset, count } of this.#layout.pieces) {
            const saved = find(`${key}.${slot.name}`).reshape([-1]).narrow(0, start, count);
            own.narrow(0, offset, count).copy_(saved);
          }
        for (const { name } of this.#layout.slots)
          this.#state.select(0, 0).copy_(find(`step.${name}`));
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
