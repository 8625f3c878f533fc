// ZeRO-1 with the optimizer's kernels: gradients are averaged into one flat tensor of the working copies' dtype, of which each
// process gets a part (reduce-scatter); it updates that part of the masters and averages, then all gather the working copies.
// As many bytes on the wire as averaging all gradients; nothing is sent before the backward pass is over. Parameters that a model
// computes with as they are, norms and biases of kernels, have gradients and numbers in float32, which travel beside the others.
// Without kernels: sharded-learner.ts, whose state is the same.
import { aligned, type Piece, type Slot, viewOf } from "../nn/flat-layout.js";
import type { FusedAdamWOptions } from "../nn/fused-adamw.js";
import { working } from "../nn/working.js";
import { call, keep, noGrad, type ProcessGroup, scope, Tensor, zeros } from "../torch/index.js";
import { FusedLearner } from "./fused-learner.js";

type Named = Iterable<[name: string, parameter: Tensor]>;

/** Slots with their places in a flat tensor, views in the parameters' shapes. */
interface Places {
  readonly flat: Tensor;
  readonly views: ReadonlyMap<Slot, Tensor>;
}

export class ShardedFusedLearner extends FusedLearner {
  readonly #group: ProcessGroup;
  /** The gradients, as the parameters lie in the flat tensors; after clip() this process's part of their mean. */
  readonly #gradients: Places;
  /** The same of parameters that are computed with as they are: in the first step no process had a gradient of their copies. */
  #bare: Places | undefined;

  constructor(
    parameters: Named,
    { group, ...options }: FusedAdamWOptions & { group: ProcessGroup },
  ) {
    super(parameters, { ...options, share: { index: group.rank, count: group.size } });
    this.#group = group;
    const { total, dtype, slots, master } = this.flat;
    const flat = keep(zeros([total], { dtype, device: master.device }));
    this.#gradients = {
      flat,
      views: new Map(slots.map((slot) => [slot, keep(viewOf(flat, slot))])),
    };
  }

  override clip(maxNorm: number): Tensor {
    noGrad(() => scope(() => this.#average()));
    this.zeroGrad(); // their memory is free for others
    return super.clip(maxNorm);
  }

  #average(): void {
    this.#bare ??= this.#findBare();
    const bare = this.#bare;
    const copied = new Map([...this.#gradients.views].filter(([slot]) => !bare.views.has(slot)));
    pack(copied, ({ parameter }) => working(parameter).grad);
    pack(bare.views, ({ parameter }) => parameter.grad);
    this.#group.averageScatter_(this.#gradients.flat);
    if (bare.views.size) this.#group.allReduce_(bare.flat, "avg");
  }

  #findBare(): Places {
    const { slots, master } = this.flat;
    const isCopied = Tensor.from(slots.map(({ parameter }) => Number(!!working(parameter).grad)));
    const copied = this.#group.allReduce_(isCopied, "max").toArray();
    let offset = 0;
    const places = slots.flatMap((slot, i) => {
      if (copied[i]) return [];
      const place = { slot, offset };
      offset += Math.ceil(slot.count / aligned) * aligned;
      return [place];
    });
    const flat = keep(zeros([offset], { device: master.device }));
    const view = (slot: Slot, at: number) => keep(viewOf(flat, { ...slot, offset: at }));
    return { flat, views: new Map(places.map(({ slot, offset }) => [slot, view(slot, offset)])) };
  }

  protected override gradientOf({ slot, start, offset, count }: Piece): Tensor {
    const whole = this.#bare?.views.get(slot);
    return whole
      ? whole.view([-1]).narrow(0, start, count)
      : this.#group.partOf(this.#gradients.flat).narrow(0, offset, count);
  }

  protected override sumShares(squares: Tensor): Tensor {
    const own = squares.to({ dtype: "float64" }).sum().reshape([1]);
    return this.#group.allReduce_(own).to({ dtype: "float32" });
  }

  override update(): void {
    super.update();
    this.#gather(this.flat.working);
    const bare = this.#bare;
    if (bare?.views.size) noGrad(() => scope(() => this.#share(bare)));
  }

  /** Everyone's numbers of the parameters that are computed with as they are. */
  #share({ flat, views }: Places): void {
    flat.zero_();
    const own = this.flat.pieces.flatMap(({ slot, start, count }) => {
      const [to, from] = [views.get(slot), slot.parameter.detach()];
      const cut = (x: Tensor) => x.view([-1]).narrow(0, start, count);
      return to ? [[cut(to), cut(from)] as const] : [];
    });
    copyAll(own);
    this.#group.allReduce_(flat);
    copyAll([...views].map(([{ parameter }, view]) => [parameter, view]));
  }

  /** Every process gets the others' parts. */
  #gather(flat: Tensor): void {
    noGrad(() => scope(() => this.#group.startAllGather(this.#group.partOf(flat), flat).wait()));
  }

  override join(): void {
    const { master, average } = this.flat;
    this.#gather(master);
    if (average) this.#gather(average);
  }

  /** On the host: a GPU may not have the room. */
  protected override wholeMoment(part: Tensor): Tensor {
    return scope(() => this.#group.allGather(part).to({ device: "cpu" }));
  }

  override stateDict(): Record<string, Tensor> {
    this.join(); // who saves the state saves the weights with it
    return super.stateDict();
  }

  override dispose(): void {
    super.dispose();
    for (const places of [this.#gradients, this.#bare])
      for (const tensor of places ? [...places.views.values(), places.flat] : []) tensor.dispose();
  }
}

/** Writes gradients to their places; one that is missing counts as zero. */
function pack(views: ReadonlyMap<Slot, Tensor>, gradientOf: (slot: Slot) => Tensor | null): void {
  const found = [...views].map(([slot, view]) => [view, gradientOf(slot)] as const);
  for (const [view, gradient] of found) if (!gradient) view.zero_();
  copyAll(found.flatMap(([view, gradient]) => (gradient ? [[view, gradient] as const] : [])));
}

/** In few launches. */
function copyAll(pairs: readonly (readonly [to: Tensor, from: Tensor])[]): void {
  if (!pairs.length) return;
  const [to, from] = [pairs.map(([item]) => item), pairs.map(([, item]) => item)];
  call<undefined>("_foreach_copy_", to, from);
}
