// ZeRO-1: the optimizer's state is shared among the processes. Each sums (reduce-scatter) and updates its share of every bucket,
// then all gather the new parameters: as many bytes on the wire as summing all gradients, 1/size of the state in memory.
// A parameter without a gradient counts as one with a gradient of zero. State and resume are those of AdamW, whatever the size.
import { AdamW, type AdamWOptions } from "../nn/adamw.js";
import {
  call,
  cat,
  keep,
  noGrad,
  type ProcessGroup,
  Reducer,
  scope,
  stack,
  type Tensor,
  zeros,
} from "../torch/index.js";
import { makeBuckets, type ParameterBucket } from "./gradient-buckets.js";
import type { Learner } from "./learner.js";

/** A bucket and this process's share of its parameters, [1, n] for matrices and [n] for vectors: so AdamW decays the former only. */
interface Part extends ParameterBucket {
  readonly name: string;
  readonly share: Tensor;
}

const moments = ["exp_avg", "exp_avg_sq"] as const;

export class ShardedLearner implements Learner {
  readonly #group: ProcessGroup;
  readonly #parts: readonly Part[];
  readonly #reducer: Reducer;
  readonly #optimizer: AdamW;

  constructor(
    parameters: readonly [string, Tensor][],
    { group, overlaps, ...options }: AdamWOptions & { group: ProcessGroup; overlaps: boolean },
  ) {
    this.#group = group;
    this.#parts = makeBuckets(parameters, group.size).map((bucket, index) => {
      const count = bucket.flat.numel / group.size;
      const shape = bucket.leaves[0]!.ndim > 1 ? [1, count] : [count];
      const { device } = bucket.flat;
      return { ...bucket, name: `${index}`, share: keep(zeros(shape, { device })).requiresGrad_() };
    });
    this.#reducer = new Reducer(group, this.#parts, { isScattered: true, overlaps });
    this.#optimizer = new AdamW(
      this.#parts.map(({ name, share }) => [name, share]),
      options,
    );
  }

  zeroGrad(): void {
    for (const { leaves } of this.#parts) for (const leaf of leaves) leaf.grad = null;
  }

  arm(): void {
    this.#reducer.arm();
  }

  clip(maxNorm: number): Tensor {
    this.#reducer.finish();
    return noGrad(() =>
      scope(() => {
        const gradients = this.#parts.map(({ flat }) => this.#group.partOf(flat));
        const norms = call<Tensor[]>("_foreach_norm.Scalar", gradients);
        const squares = this.#group.allReduce_(stack(norms).square().sum());
        const total = squares.sqrt();
        const factor = call("reciprocal", total.add(1e-6)).mul(maxNorm).clamp(undefined, 1);
        call<undefined>("_foreach_mul_.Tensor", gradients, factor);
        return total;
      }),
    );
  }

  step(lr: number): void {
    noGrad(() =>
      scope(() => {
        for (const { leaves, flat, share } of this.#parts) {
          share.copy_(this.#shareOfAll(leaves, share));
          share.grad = this.#group.partOf(flat).view(share.shape);
        }
        this.#optimizer.step(lr);
        this.#optimizer.zeroGrad();
        const gathering = this.#parts.map(({ flat, share }) =>
          this.#group.startAllGather(share.view([-1]), flat),
        );
        this.#parts.forEach(({ leaves, flat }, index) => {
          gathering[index]!.wait();
          call<undefined>("_foreach_copy_", leaves, pieces(flat, leaves));
        });
      }),
    );
  }

  stateDict(): Record<string, Tensor> {
    const own = this.#optimizer.stateDict();
    const entries = this.#parts.flatMap(({ name, names, leaves }) =>
      scope(() => {
        const whole = moments.map((moment) => {
          const all = this.#group.allGather(own[`${moment}.${name}`]!.view([-1]));
          return pieces(all.to({ device: "cpu" }), leaves);
        });
        return names.flatMap((leaf, index) => [
          ...moments.map((moment, m) => [`${moment}.${leaf}`, whole[m]![index]!] as const),
          [`step.${leaf}`, own[`step.${name}`]!.clone()] as const,
        ]);
      }),
    );
    return Object.fromEntries(entries);
  }

  loadStateDict(tensors: Readonly<Record<string, Tensor>>): void {
    const find = (name: string) => {
      const saved = tensors[name];
      if (saved) return saved;
      throw new Error(
        `Expected ${name} in the optimizer's state, found none. The checkpoint is of another model.`,
      );
    };
    noGrad(() =>
      scope(() => {
        const shares = this.#parts.flatMap(({ name, names, share }) => [
          ...moments.map((moment) => {
            const all = names.map((leaf) => find(`${moment}.${leaf}`));
            return [`${moment}.${name}`, this.#shareOfAll(all, share)] as const;
          }),
          [`step.${name}`, find(`step.${names[0]}`)] as const,
        ]);
        this.#optimizer.loadStateDict(Object.fromEntries(shares));
      }),
    );
  }

  dispose(): void {
    this.#reducer.dispose();
    this.#optimizer.dispose();
    for (const { flat, share } of this.#parts) for (const item of [flat, share]) item.dispose();
  }

  /** The same part of tensors laid one after another, in the share's shape: a copy. */
  #shareOfAll(tensors: readonly Tensor[], { shape, numel, device }: Tensor): Tensor {
    const [from, to] = [this.#group.rank * numel, (this.#group.rank + 1) * numel];
    let offset = 0;
    const found: Tensor[] = [];
    for (const tensor of tensors) {
      const [start, end] = [Math.max(from, offset), Math.min(to, offset + tensor.numel)];
      if (start < end)
        found.push(
          tensor
            .detach()
            .reshape([-1])
            .narrow(0, start - offset, end - start),
        );
      offset += tensor.numel;
    }
    if (offset < to)
      found.push(zeros([to - Math.max(from, offset)], { device: found[0]?.device ?? device }));
    return cat(found).reshape(shape);
  }
}

/** A flat tensor as its leaves: views in their shapes. */
function pieces(flat: Tensor, leaves: readonly Tensor[]): Tensor[] {
  let offset = 0;
  return leaves.map(({ shape, numel }) => {
    const piece = flat.narrow(0, offset, numel).view(shape);
    offset += numel;
    return piece;
  });
}
