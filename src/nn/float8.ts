// Linears of blocks in 8-bit floats, for inference: weights once, a scale an output; activations as they come, a scale a row.
// The products are libtorch's, into bfloat16. What surrounds the blocks stays bfloat16.
import { ConfigError } from "../config-error.js";
import {
  deviceTraits,
  hasKernels,
  keep,
  noGrad,
  scaledLinear,
  scope,
  type Tensor,
} from "../torch/index.js";
import type { Block } from "./block.js";
import { type Quantised, quantiseRows } from "./fused/quantise-rows.js";

const copies = new WeakMap<Tensor, Quantised>();

/** A weight [out, in] in 8 bits, where quantiseBlocks() made it so. */
export const float8Of = (weight: Tensor): Quantised | undefined => copies.get(weight);

/** @throws ConfigError for a device without matrix products of 8-bit floats */
export function requireFloat8(device: string): void {
  const capability = hasKernels(device) ? deviceTraits(device).capability : 0;
  if (capability >= 89) return;
  const what = device.startsWith("cuda")
    ? capability
      ? `${device} of ${capability / 10}`
      : `${device} without kernels (npx vitok doctor)`
    : device;
  throw new ConfigError(
    `Expected a GPU of compute capability 8.9 or more for float8, received ${what}. Use bfloat16.`,
  );
}

/**
 * Gives every linear of the blocks an 8-bit copy of its weight, which products are made with from now on, without gradients.
 * @throws ConfigError for a width that is no multiple of 16
 */
export function quantiseBlocks(blocks: readonly Block[]): void {
  for (const { attn, mlp } of blocks)
    for (const { weight } of [attn.qkv, attn.proj, mlp.w12, mlp.w3]) {
      const odd = weight.shape.find((side) => side % 16 !== 0);
      if (odd)
        throw new ConfigError(
          `Expected widths that are multiples of 16 for float8, received ${odd}. Use bfloat16.`,
        );
      forgetFloat8(weight);
      copies.set(
        weight,
        noGrad(() => scope(() => keptCopy(weight))),
      );
    }
}

function keptCopy(weight: Tensor): Quantised {
  const { values, scales } = quantiseRows(weight);
  return { values: keep(values), scales: keep(scales) };
}

/** Whether the blocks' products are made so. */
export const usesFloat8 = (blocks: readonly Block[]): boolean =>
  blocks.some(({ mlp }) => float8Of(mlp.w3.weight) !== undefined);

/** Frees what quantiseBlocks() keeps beside a weight. */
export function forgetFloat8(weight: Tensor): void {
  const known = copies.get(weight);
  known?.values.dispose();
  known?.scales.dispose();
  copies.delete(weight);
}

/** x W^T (+ bias, bfloat16) of x [..., in] -> bfloat16 [..., out] */
export function float8Linear(x: Tensor, weight: Quantised, bias?: Tensor): Tensor {
  return scope(() => {
    const rows = quantiseRows(x);
    const scales = { x: rows.scales, weight: weight.scales };
    const product = scaledLinear(rows.values, weight.values, scales, bias);
    return product.view(x.shape.with(-1, product.size(1)));
  });
}
