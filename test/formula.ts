// Numbers that a fixture's script and its test both make, so that no file need carry them: scripts/make-metric-fixtures.py.
import { Tensor } from "../src/torch/index.js";

/** Element i of the k-th tensor is a hash of i and k in (-1, 1), times a scale; float32. */
export function formula(shape: readonly number[], k: number, scale = 1): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length: count }, (_, i) => {
    const hash = Math.sin((i + 1) * 12.9898 + k * 78.233) * 43758.5453;
    return (2 * (hash - Math.floor(hash)) - 1) * scale;
  });
  return Tensor.from(values, shape);
}

/** [n, 24], correlated, in float64 */
export const features = (n: number, k: number, shift = 0): Tensor =>
  formula([n, 24], k)
    .to({ dtype: "float64" })
    .matmul(formula([24, 24], 1).to({ dtype: "float64" }))
    .add(shift);
