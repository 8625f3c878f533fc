// Where parameters lie in flat tensors, one after another, and which pieces of them fall to one of several processes. Numbers
// only: the tensors are fused-adamw.ts.
import { keep, scope, Tensor, zeros } from "../torch/index.js";

/** A parameter's place in the flat tensors. */
export interface Slot {
  readonly name: string;
  readonly parameter: Tensor;
  readonly offset: number;
  readonly count: number;
}

/** What of a slot a process has: `count` elements from its element `start` on, at `offset` of the process's part. */
export interface Piece {
  readonly slot: Slot;
  readonly start: number;
  readonly offset: number;
  readonly count: number;
}

/** One of `count` processes that share flat tensors; each has one of as many equal parts. */
export interface Share {
  readonly index: number;
  readonly count: number;
}

export interface FlatLayout {
  readonly slots: readonly Slot[];
  /** Elements of a flat tensor, and of a part. */
  readonly total: number;
  readonly part: number;
  readonly pieces: readonly Piece[];
}

export const aligned = 64; // each tensor starts at a multiple of 128 bytes, as matrix products like it
export const chunk = 8192; // elements that a block of threads takes

const roundUp = (count: number, multiple: number) => Math.ceil(count / multiple) * multiple;

/** The layout of the parameters that learn. */
export function layOut(
  parameters: Iterable<[name: string, parameter: Tensor]>,
  { index, count: shares }: Share,
): FlatLayout {
  let offset = 0;
  const slots = [...parameters]
    .filter(([, parameter]) => parameter.requiresGrad)
    .map(([name, parameter]): Slot => {
      const slot = { name, parameter, offset, count: parameter.numel };
      offset += roundUp(slot.count, aligned);
      return slot;
    });
  const total = roundUp(offset, aligned * shares);
  const part = total / shares;
  const [from, to] = [index * part, (index + 1) * part];
  const pieces = slots.flatMap((slot): Piece[] => {
    const start = Math.max(from - slot.offset, 0);
    const count = Math.min(to - slot.offset, slot.count) - start;
    return count > 0 ? [{ slot, start, offset: slot.offset + start - from, count }] : [];
  });
  return { slots, total, part, pieces };
}

/** A slot's part of a flat tensor, in its parameter's shape: a view. */
export function viewOf(flat: Tensor, { offset, count, parameter }: Slot): Tensor {
  return flat.narrow(0, offset, count).view(parameter.shape);
}

/** What kernels know of each piece: the blocks that work on it, its length and its place in the part; and room for a number a block. */
export function tablesOf(pieces: readonly Piece[], device: string) {
  const blocks = pieces.flatMap(({ count }, index) =>
    Array.from({ length: Math.ceil(count / chunk) }, (_, i) => [index, i * chunk]).flat(),
  );
  const counts = pieces.map(({ count }) => count);
  const offsets = pieces.map(({ offset }) => BigInt(offset));
  return scope(() =>
    keep({
      blocks: Tensor.from(Int32Array.from(blocks), [blocks.length / 2, 2], { device }),
      counts: Tensor.from(Int32Array.from(counts), undefined, { device }),
      offsets: Tensor.from(BigInt64Array.from(offsets), undefined, { device }),
      parts: zeros([blocks.length / 2], { device }),
    }),
  );
}
