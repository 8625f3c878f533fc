// Standard normal noise that depends on what it is for and on nothing else: drawn on the CPU, so that every device, batch
// size and number of processes sees the same.
import { Generator, randn, scope, stack, type Tensor } from "../torch/index.js";
import { randomStream } from "./random.js";

/** [keys.length, ...shape], float32: each row from its own key, whole numbers. */
export function keyedNoise(
  keys: readonly (readonly number[])[],
  shape: readonly number[],
  device: string,
): Tensor {
  return scope(() => {
    const generator = new Generator(0);
    const rows = keys.map((key) => {
      const seed = Math.floor(randomStream(...key).next() * 2 ** 53);
      return randn(shape, { generator: generator.seed(seed) });
    });
    return stack(rows).to({ device });
  });
}
