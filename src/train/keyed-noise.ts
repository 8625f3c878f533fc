// The random choices of a training step, keyed by (seed, global sample index) and never by the process: so a resumed run
// is exact, and any number of processes draws the same.
import { keyedNoise } from "../data/noise.js";
import { randomStream } from "../data/random.js";
import { cat, scope, type Tensor } from "../torch/index.js";

/** Keeps the kinds of choice apart; data/loader.ts has the data's own. */
const purpose = {
  noise: 11,
  keep: 12,
  diffusion: 13,
  timestep: 14,
  drop: 15,
  lossCrop: 16,
  discriminatorCrop: 17,
};

/** Standard normal noise [B, ...shape] for a posterior, drawn on the CPU so that every device sees the same. */
export function posteriorNoise(
  seed: number,
  indices: readonly number[],
  shape: readonly number[],
  device: string,
): Tensor {
  return keyedNoise(
    indices.map((index) => [seed, purpose.noise, index]),
    shape,
    device,
  );
}

/**
 * Masked ViTok's kept length of each sample: uniform over the powers of two from `minKeep` to the code's length,
 * and that length itself (spec section 1).
 */
export function keptLengths(
  seed: number,
  indices: readonly number[],
  limits: { minKeep: number; length: number },
): number[] {
  const { minKeep, length } = limits;
  const choices = new Set([length]);
  for (let kept = 2 ** Math.ceil(Math.log2(Math.min(minKeep, length))); kept < length; kept *= 2)
    choices.add(kept);
  const sorted = [...choices].sort((a, b) => a - b);
  return indices.map(
    (index) => sorted[randomStream(seed, purpose.keep, index).int(sorted.length)]!,
  );
}

/** What a diffusion step draws for each sample: noise [B, ...shape], a number in [0, 1) for the timestep, one for dropping the class. */
export function diffusionDraws(
  seed: number,
  indices: readonly number[],
  { shape, device }: { shape: readonly number[]; device: string },
): { noise: Tensor; times: number[]; drops: number[] } {
  const uniform = (kind: number) => indices.map((index) => randomStream(seed, kind, index).next());
  return {
    noise: keyedNoise(
      indices.map((index) => [seed, purpose.diffusion, index]),
      shape,
      device,
    ),
    times: uniform(purpose.timestep),
    drops: uniform(purpose.drop),
  };
}

/**
 * A random square of each sample, the same for all its frames: [B, 3, T, H, W] -> [B, 3, T, side, side]. Several tensors of one
 * shape are cut alike. They come back themselves where the square is all there is.
 */
export function randomSquares<T extends readonly Tensor[]>(
  tensors: T,
  side: number,
  {
    seed,
    indices,
    of,
  }: { seed: number; indices: readonly number[]; of: "lossCrop" | "discriminatorCrop" },
): T {
  const [height, width] = tensors[0]!.shape.slice(3) as [number, number];
  if (side > Math.min(height, width))
    throw new RangeError(
      `Expected a square within ${height} x ${width} pixels for the crop of the losses, received ${side}.`,
    );
  if (side === height && side === width) return tensors;
  const corners = indices.map((index) => {
    const random = randomStream(seed, purpose[of], index);
    return { top: random.int(height - side + 1), left: random.int(width - side + 1) };
  });
  const cut = (x: Tensor) =>
    cat(
      corners.map(({ top, left }, at) =>
        x.narrow(0, at, 1).narrow(3, top, side).narrow(4, left, side),
      ),
    );
  return tensors.map((x) => scope(() => cut(x))) as unknown as T;
}
