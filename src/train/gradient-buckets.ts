// How gradients are averaged between processes, and how parameters are joined in flat buckets for the way: matrices first, in the
// order in which a backward pass reaches them, then vectors. The same on every process.
import { keep, type ProcessGroup, Reducer, type Tensor, zeros, zerosLike } from "../torch/index.js";

export interface ParameterBucket {
  readonly names: readonly string[];
  readonly leaves: readonly Tensor[];
  /** The leaves' numbers one after another, and zeros up to a length that the processes can share. */
  readonly flat: Tensor;
}

/** DDP's size: large enough for the wire, small enough that the first is full early. */
const bucketBytes = 25 * 2 ** 20;

interface BucketOptions {
  readonly maxBytes?: number | undefined;
  /** Each leaf begins at a multiple of so many elements. */
  readonly alignment?: number;
}

/** Buckets of the parameters that learn, each of one dtype; the flat tensors are the caller's to dispose of. */
export function makeBuckets(
  parameters: Iterable<readonly [name: string, parameter: Tensor]>,
  size: number,
  { maxBytes = bucketBytes, alignment = 1 }: BucketOptions = {},
): ParameterBucket[] {
  const learning = [...parameters].filter(([, leaf]) => leaf.requiresGrad).reverse();
  const matrices = learning.filter(([, leaf]) => leaf.ndim > 1);
  const vectors = learning.filter(([, leaf]) => leaf.ndim <= 1);
  return [matrices, vectors]
    .flatMap(byDType)
    .flatMap((members) => fill(members, maxBytes))
    .map((members) => {
      const leaves = members.map(([, leaf]) => leaf);
      const count = leaves.reduce((sum, leaf) => sum + roundUp(leaf.numel, alignment), 0);
      const { dtype, device } = leaves[0]!;
      const flat = keep(zeros([roundUp(count, size)], { dtype, device }));
      return { names: members.map(([name]) => name), leaves, flat };
    });
}

function byDType(members: Members): Members[] {
  const dtypes = [...new Set(members.map(([, leaf]) => leaf.dtype))];
  return dtypes.map((dtype) => members.filter(([, leaf]) => leaf.dtype === dtype));
}

export interface AverageOptions {
  /** Send buckets while the backward pass runs (the default); else average the gradients where they lie, all at its end. */
  readonly overlaps?: boolean;
  readonly bucketBytes?: number | undefined;
}

/** Averages the gradients of leaves over a group. */
export class GradientAverage {
  readonly #reducer: Reducer | undefined;
  readonly #buckets: readonly ParameterBucket[] = [];

  constructor(
    private readonly group: ProcessGroup,
    private readonly leaves: readonly (readonly [name: string, leaf: Tensor])[],
    { overlaps = true, bucketBytes, alignment = 1 }: AverageOptions & { alignment?: number } = {},
  ) {
    if (!overlaps) return;
    this.#buckets = makeBuckets(leaves, group.size, { maxBytes: bucketBytes, alignment });
    this.#reducer = new Reducer(group, this.#buckets, { alignment });
  }

  /** The backward passes from here to `finish` complete the gradients. */
  arm(): void {
    this.#reducer?.arm();
  }

  /** The gradients are the means then, of the processes without one, too. */
  finish(): void {
    if (this.#reducer) this.#reducer.finish();
    else this.#averageInPlace();
  }

  #averageInPlace(): void {
    const learning = this.leaves.filter(([, leaf]) => leaf.requiresGrad);
    for (const members of byDType(learning)) {
      const gradients = members.map(([, leaf]) => gradientOf(leaf));
      this.group.allReduceAll_(gradients, "avg");
    }
  }

  /** Gradients that lie in the buckets are the caller's to forget before. */
  dispose(): void {
    this.#reducer?.dispose();
    for (const { flat } of this.#buckets) flat.dispose();
  }
}

function gradientOf(leaf: Tensor): Tensor {
  leaf.grad ??= zerosLike(leaf);
  return leaf.grad;
}

const roundUp = (count: number, multiple: number) => Math.ceil(count / multiple) * multiple;

type Members = (readonly [string, Tensor])[];

function fill(members: Members, maxBytes: number): Members[] {
  const filled: Members[] = [];
  let room = 0;
  for (const member of members) {
    const bytes = member[1].byteLength;
    if (bytes > room) {
      filled.push([]);
      room = maxBytes;
    }
    filled.at(-1)!.push(member);
    room -= bytes;
  }
  return filled;
}
