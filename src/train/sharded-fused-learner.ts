// ZeRO-1 with the optimizer's kernels: gradients are averaged into one flat tensor of the working copies' dtype, of which each
// process gets a part (reduce-scatter); it updates that part of the masters and averages, then all gather the working copies.
// As many bytes on the wire as averaging all gradients. Parameters that a model computes with as they are, which have no use for
// their working copies, are brought together beside them. Nothing is sent before the backward pass is over. Without kernels:
// sharded-learner.ts, whose state is the same.
import { type Piece, type Slot, viewOf } from "../nn/flat-layout.js";
import type { FusedAdamWOptions } from "../nn/fused-adamw.js";
import { working } from "../nn/working.js";
import { call, keep, noGrad, type ProcessGroup, scope, Tensor, zeros } from "../torch/index.js";
import { FusedLearner } from "./fused-learner.js";

type Named = Iterable<[name: string, parameter: Tensor]>;

export class ShardedFusedLearner extends FusedLearner {
  readonly #group: ProcessGroup;
  /** The gradients, as the parameters lie in the flat tensors; after clip() this process's part of their mean. */
  readonly #gradients: Tensor;
  readonly #places: readonly Tensor[];
  /** Parameters that are computed with as they are: in the first step no process had a gradient of their working copies. */
  #bare: readonly Slot[] | undefined;

  constructor(
    parameters: Named,
    { group, ...options }: FusedAdamWOptions & { group: ProcessGroup },
  ) {
    super(parameters, { ...options, share: { index: group.rank, count: group.size } });
    this.#group = group;
    const { total, dtype, slots, master } = this.flat;
    this.#gradients = keep(zeros([total], { dtype, device: master.device }));
    this.#places = keep(slots.map((slot) => viewOf(this.#gradients, slot)));
  }

  override clip(maxNorm: number): Tensor {
    noGrad(() => scope(() => this.#scatter()));
    this.zeroGrad(); // their memory is free for others
    return super.clip(maxNorm);
  }

  /** A gradient of another dtype, as of parameters that have no working copy, is converted; one that is missing counts as zero. */
  #scatter(): void {
    const { dtype, slots } = this.flat;
    this.#bare ??= this.#findBare();
    const alike: [Tensor[], Tensor[]] = [[], []];
    for (const [i, { parameter }] of slots.entries()) {
      const gradient = working(parameter).grad ?? parameter.grad;
      const place = this.#places[i]!;
      if (!gradient) place.zero_();
      else if (gradient.dtype !== dtype) place.copy_(gradient);
      else for (const [k, item] of [place, gradient].entries()) alike[k]!.push(item);
    }
    if (alike[0].length) call<undefined>("_foreach_copy_", ...alike);
    this.#group.averageScatter_(this.#gradients);
  }

  #findBare(): Slot[] {
    const { slots } = this.flat;
    const isUsed = Tensor.from(slots.map(({ parameter }) => Number(!!working(parameter).grad)));
    const used = this.#group.allReduce_(isUsed, "max").toArray();
    return slots.filter((_, i) => !used[i]);
  }

  protected override gradientOf({ offset, count }: Piece): Tensor {
    return this.#group.partOf(this.#gradients).narrow(0, offset, count);
  }

  protected override sumShares(squares: Tensor): Tensor {
    const own = squares.to({ dtype: "float64" }).sum().reshape([1]);
    return this.#group.allReduce_(own).to({ dtype: "float32" });
  }

  override update(): void {
    super.update();
    this.#gather(this.flat.working);
    noGrad(() => scope(() => this.#share(this.#bare ?? [])));
  }

  /** Brings parameters together that are computed with as they are: few, and small. */
  #share(bare: readonly Slot[]): void {
    const whole = bare.map(({ parameter }) =>
      zeros([parameter.numel], { device: parameter.device }),
    );
    for (const { slot, start, count } of this.flat.pieces) {
      const to = whole[bare.indexOf(slot)];
      to?.narrow(0, start, count).copy_(slot.parameter.view([-1]).narrow(0, start, count));
    }
    this.#group.allReduceAll_(whole);
    for (const [i, { parameter }] of bare.entries())
      parameter.copy_(whole[i]!.view(parameter.shape));
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
    for (const tensor of [...this.#places, this.#gradients]) tensor.dispose();
  }
}
