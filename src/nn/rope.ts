// 3D axial rotary position embedding: a head's pairs are split over (time, row, column), theta 10000 (spec section 1).
// Positions are integer grid indices, so any grid works, also one never trained on.
import { arange, cat, keep, scope, Tensor, zeros } from "../torch/index.js";

export interface Grid {
  readonly t: number;
  readonly h: number;
  readonly w: number;
}

/** Cosines and sines of the rotation of every token, float32 [N, headDim / 2]. */
export interface Rope {
  readonly cos: Tensor;
  readonly sin: Tensor;
}

/**
 * Angles in radians, float32 [N, headDim / 2], computed in double precision; `unrotated` tokens of angle 0 follow. By
 * operators from the grid's lengths, so that a tracer sees how they follow from the input's size.
 */
export function ropeAngles(grid: Grid, headDim: number, unrotated = 0, theta = 10000): Tensor {
  const pairs = headDim / 2;
  const space = Math.ceil(pairs / 3);
  const { t, h, w } = grid;
  const angles = [pairs - 2 * space, space, space].flatMap((count, axis) => {
    if (count === 0) return [];
    const frequencies = Float64Array.from({ length: count }, (_, k) => theta ** (-k / count));
    const positions = arange([t, h, w][axis]!, { dtype: "float64" });
    return positions
      .reshape([1, 1, 1, 1].with(axis, -1))
      .mul(Tensor.from(frequencies))
      .expand([t, h, w, count]);
  });
  const rotated = cat(angles, -1)
    .reshape([t * h * w, pairs])
    .to({ dtype: "float32" });
  return unrotated ? cat([rotated, zeros([unrotated, pairs])]) : rotated;
}

/** Makes and remembers the tables of the grids that were met last. */
export class RopeTables {
  readonly #tables = new Map<string, Rope>();

  constructor(
    private readonly headDim: number,
    private readonly limit = 8,
  ) {}

  at(grid: Grid, unrotated: number, device: string): Rope {
    const key = `${grid.t}x${grid.h}x${grid.w}+${unrotated} ${device}`;
    const known = this.#tables.get(key);
    if (known) return known;
    if (this.#tables.size >= this.limit) this.clear();
    const table = scope(() => {
      const angles = ropeAngles(grid, this.headDim, unrotated);
      return keep({ cos: angles.cos().to({ device }), sin: angles.sin().to({ device }) });
    });
    this.#tables.set(key, table);
    return table;
  }

  clear(): void {
    for (const { cos, sin } of this.#tables.values()) {
      cos.dispose();
      sin.dispose();
    }
    this.#tables.clear();
  }
}

/** Rotates x [..., N, headDim]; pair k is (x[k], x[k + headDim / 2]). In float32, returned in x's dtype. */
export function rotate(x: Tensor, { cos, sin }: Rope): Tensor {
  const [a, b] = x.to({ dtype: "float32" }).chunk(2, -1) as [Tensor, Tensor];
  const rotated = cat([a.mul(cos).addcmul(b, sin, -1), a.mul(sin).addcmul(b, cos)], -1);
  return rotated.to({ dtype: x.dtype });
}
