// Queries, keys and values of attention's heads from one product: bias, split and rotary turn in one pass over memory, 6
// numbers moved for each of the width where plain operators move 20.
import {
  deviceTraits,
  int,
  isPlain,
  type Layout,
  launch,
  loadKernel,
  type Plan,
  planFor,
  type Tensor,
} from "../../torch/index.js";
import type { Linear } from "../linear.js";
import { type Rope, rotate } from "../rope.js";
import { bitsOf, suitsKernels } from "./choose.js";
import { columnSum } from "./column-sum.js";

type Heads = [queries: Tensor, keys: Tensor, values: Tensor];

/** x [B, N, D] through a linear of 3 D outputs, q, k, v -> three [B, heads, N, headDim], q and k turned */
export function rotatedHeads(x: Tensor, linear: Linear, rope: Rope, heads: number): Heads {
  if (!suitsKernels(x, linear.bias)) return rotatedHeadsTwin(x, linear, rope, heads);
  return rotateProduct(linear.product(x), linear.bias, rope, heads);
}

/** The same of the product x W^T [B, N, 3 D], where kernels run. */
export function rotateProduct(all: Tensor, bias: Tensor, rope: Rope, heads: number): Heads {
  const made = planOf(all, bias, heads).run(all, bias, rope.cos, rope.sin); // [B, N, heads, headDim]
  return made.map((part) => part.transpose(1, 2)) as Heads;
}

/** Whether heads may be turned where they lie: kernels run, nothing is recorded or cast. */
export const suitsTurn = (x: Tensor, bias: Tensor): boolean =>
  isPlain() && x.dtype === bias.dtype && suitsKernels(x, bias);

/**
 * As rotatedHeads(), where suitsTurn(): the product adds the bias, queries and keys are turned in its memory, and values stay as
 * they are there. 4 numbers moved for each of the width.
 */
export function turnedHeads(x: Tensor, linear: Linear, rope: Rope, heads: number): Heads {
  const all = linear.forward(x); // [B, N, 3 D]
  const [batch, places, columns] = all.shape as [number, number, number];
  const headDim = columns / 3 / heads;
  const { constants, sizeOf } = shapeOf({ batch, places, heads, headDim, parts: 2 }, all);
  const kernel = loadKernel("rotate-split", "rotate_within", all.device, constants);
  launch(kernel, sizeOf(4), [rope.cos, rope.sin, all, int(batch), int(places)]);
  const parts = all.view([batch, places, 3, heads, headDim]).unbind(2);
  return parts.map((part) => part.transpose(1, 2)) as Heads;
}

export function rotatedHeadsTwin(x: Tensor, linear: Linear, rope: Rope, heads: number): Heads {
  const [batch, tokens] = x.shape as [number, number];
  const headDim = linear.bias.size(0) / 3 / heads;
  const qkv = linear.forward(x).view([batch, tokens, 3, heads, headDim]);
  const [qk, v] = qkv.permute([2, 0, 3, 1, 4]).split([2, 1]) as [Tensor, Tensor]; // [.., B, heads, N, headDim]
  const [q, k] = rotate(qk, rope).unbind() as [Tensor, Tensor];
  return [q, k, v.squeeze(0)];
}

/** Elements a thread loads at once: the most that divide a half of a head. */
const groupOf = (half: number) => [8, 4, 2, 1].find((size) => half % size === 0)!;

interface Rows {
  readonly batch: number;
  readonly places: number;
  readonly heads: number;
  readonly headDim: number;
  /** How many of q, k and v threads are there for. */
  readonly parts: 2 | 3;
}

/** A thread keeps a place and a group of columns, and walks over the batch: constants, and sizes by blocks a multiprocessor. */
function shapeOf({ batch, places, heads, headDim, parts }: Rows, all: Tensor, bias = all) {
  const group = groupOf(headDim / 2);
  const units = (parts * heads * headDim) / 2 / group;
  const across = Math.min(units, 512);
  const down = Math.max(1, Math.floor(288 / across));
  const { multiprocessors } = deviceTraits(all.device);
  const slices = (resident: number) =>
    Math.max(
      1,
      Math.min(Math.ceil(batch / down), Math.ceil((resident * multiprocessors) / places)),
    );
  const sizeOf = (resident: number) => ({
    grid: [places, slices(resident), Math.ceil(units / across)] as const,
    block: [across, down] as const,
  });
  const constants = {
    ...{ H: heads, W: headDim, V: group, THREADS: across * down },
    ...bitsOf(all, bias),
  };
  return { constants, sizeOf };
}

function planOf(all: Tensor, bias: Tensor, heads: number): Plan {
  const { shape, dtype, device } = all;
  return planFor(`rotate-split ${shape} ${heads} ${dtype} ${bias.dtype} ${device}`, () => {
    const [batch, places, columns] = shape as [number, number, number];
    const headDim = columns / 3 / heads;
    const { constants, sizeOf } = shapeOf({ batch, places, heads, headDim, parts: 3 }, all, bias);
    const [, slices] = sizeOf(2).grid;
    const [, down] = sizeOf(2).block;
    const parts = places * slices * down;
    const head: Layout = { shape: [batch, places, heads, headDim], dtype };
    const table: Layout = { shape: [places, headDim / 2], dtype: "float32" };
    const sizes = [int(batch), int(places)];
    return {
      inputs: {
        all: { shape, dtype },
        bias: { shape: [columns], dtype: bias.dtype },
        ...{ cos: table, sin: table },
      },
      forward: {
        buffers: { q: head, k: head, v: head },
        steps: [
          {
            kernel: loadKernel("rotate-split", "rotate_split", device, constants),
            ...sizeOf(4),
            args: ["all", "bias", "cos", "sin", "q", "k", "v", ...sizes],
          },
        ],
      },
      outputs: ["q", "k", "v"],
      backward: {
        buffers: {
          gradient: { shape, dtype },
          parts: { shape: [parts, columns], dtype: "float32" },
          sums: { shape: [columns], dtype: "float32" },
        },
        steps: [
          {
            kernel: loadKernel("rotate-split", "rotate_split_backward", device, constants),
            ...sizeOf(2),
            args: ["d.q", "d.k", "d.v", "cos", "sin", "gradient", "parts", ...sizes],
          },
          columnSum(device, { parts: "parts", sums: "sums", count: parts, columns }),
        ],
      },
      gradients: { all: "gradient", bias: "sums" },
    };
  });
}
