// 3D axial rotary position embedding: a head's pairs are split over (time, row, column), theta 10000 (spec section 1).
// Positions are integer grid indices, so any grid works, also one never trained on.
import { cat, keep, Tensor } from "../torch/index.js";

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

/** Angles in radians, row-major [N, headDim / 2], computed in double precision; `unrotated` tokens of angle 0 follow. */
export function ropeAngles(
  grid: Grid,
  headDim: number,
  unrotated = 0,
  theta = 10000,
): Float32Array {
  const pairs = headDim / 2;
  const space = Math.ceil(pairs / 3);
  const frequencies = [pairs - 2 * space, space, space].flatMap((count, axis) =>
    Array.from({ length: count }, (_, k) => ({ axis, value: theta ** (-k / count) })),
  );
  const angles = new Float32Array((grid.t * grid.h * grid.w + unrotated) * pairs);
  let next = 0;
  for (let t = 0; t < grid.t; t++)
    for (let h = 0; h < grid.h; h++)
      for (let w = 0; w < grid.w; w++) {
        const position = [t, h, w];
        for (const { axis, value } of frequencies) angles[next++] = position[axis]! * value;
      }
  return angles;
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
    const angles = ropeAngles(grid, this.headDim, unrotated);
    const shape = [angles.length / (this.headDim / 2), this.headDim / 2];
    const table = keep({
      cos: Tensor.from(angles.map(Math.cos), shape, { device }),
      sin: Tensor.from(angles.map(Math.sin), shape, { device }),
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
