// Where the windows of a long or large input lie, and how they are blended: overlapping chunks of frames, overlapping tiles
// of patches. Positions are local to a window, which rotary embedding allows. Arithmetic only; spec section 1.
import { ConfigError } from "../config-error.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";

/** Windows that the model sees. Lengths in frames are multiples of q. */
export interface Tiling {
  /** Frames of a window, and how many of them neighbouring windows share. */
  readonly chunk: number;
  readonly overlap: number;
  /** Side of a window in patches, and how many neighbours share; an input of at most `tile` patches a side is one window. */
  readonly tile: number;
  readonly halo: number;
}

/** One window along one axis: where it starts and ends, and the weight of each of its places in the blend. */
export interface AxisWindow {
  readonly start: number;
  readonly length: number;
  /** [length * scale]; over all windows the weights of a place add up to 1. */
  readonly weights: Float32Array;
}

/**
 * Windows of `size` units over an axis of `length`, sharing at least `shared`; the last one ends where the axis ends. Weights
 * are in `scale` steps a unit: 1 for tokens, the patch's side for pixels. They rise over the shared part.
 */
export function axisWindows(
  length: number,
  { size, shared, scale = 1 }: { size: number; shared: number; scale?: number },
): AxisWindow[] {
  const step = Math.max(1, size - shared);
  const count = size >= length ? 1 : Math.ceil((length - size) / step) + 1;
  const starts = Array.from({ length: count }, (_, i) =>
    Math.max(0, Math.min(i * step, length - size)),
  );
  const extent = Math.min(size, length);
  const ramp = Math.max(1, shared * scale);
  const raw = starts.map((_, i) =>
    Float32Array.from({ length: extent * scale }, (_, k) => {
      const rise = i > 0 ? (k + 0.5) / ramp : 1;
      const fall = i < count - 1 ? (extent * scale - k - 0.5) / ramp : 1;
      return Math.min(1, rise, fall);
    }),
  );
  const sums = new Float32Array(length * scale);
  for (const [i, weights] of raw.entries())
    weights.forEach((weight, k) => {
      sums[starts[i]! * scale + k]! += weight;
    });
  return raw.map((weights, i) => ({
    start: starts[i]!,
    length: extent,
    weights: weights.map((weight, k) => weight / sums[starts[i]! * scale + k]!),
  }));
}

/** The share of the later of two chunks in frame or slice `index` of `shared` that both have. */
export const laterShare = (index: number, shared: number): number => (index + 1) / (shared + 1);

/** What a tokenizer was trained on. */
export interface TrainedShape {
  /** Height and width, pixels. */
  readonly size: number;
  readonly frames: number;
}

/** Above so many tokens in a window, attention costs more than all else, and inputs are tiled without being asked. */
export const tokenLimit = 16_384;

/** The windows that suit a model: as many frames as it was trained on; whole frames while they are not too large. */
export function usualTiling(
  config: AutoEncoder["config"],
  { size, frames }: TrainedShape,
  input: { readonly height: number; readonly width: number; readonly frames: number },
): Tiling {
  const { patchSize: p, tubeletSize: q } = config;
  const chunk = Math.max(q, Math.floor(frames / q) * q);
  const t = Math.ceil(Math.min(chunk, input.frames) / q);
  const sides = [Math.ceil(input.height / p), Math.ceil(input.width / p)] as const;
  const whole = Math.max(...sides);
  const trained = Math.max(1, Math.ceil(size / p));
  const fits = t * sides[0] * sides[1] <= tokenLimit;
  const tile = fits ? whole : Math.min(whole, Math.max(trained, Math.ceil(256 / p)));
  return { chunk, overlap: overlapOf(chunk, q), tile, halo: haloOf(tile) };
}

/** A quarter of the frames, in whole tubelets; none where a chunk is a single tubelet. */
export function overlapOf(chunk: number, q: number): number {
  if (chunk <= q) return 0;
  return Math.max(q, Math.floor(chunk / 4 / q) * q);
}

/** A quarter of the side. */
export const haloOf = (tile: number): number => Math.max(tile > 1 ? 1 : 0, Math.floor(tile / 4));

/** @throws ConfigError for a Latent model, whose code has no place for each window, and for a kept length */
export function requireTileable(
  { latentTokens }: AutoEncoder["config"],
  { source, keep }: { source: string; keep?: number | undefined },
): void {
  const why = latentTokens
    ? "a Latent ViTok, whose code is one for the whole input"
    : keep !== undefined
      ? "a kept length, which counts the tokens of a whole input"
      : undefined;
  if (!why) return;
  throw new ConfigError(
    `Expected an input that fits into one window for ${source}, received ${why} and cannot be tiled or cut in time. Give a smaller or shorter input.`,
  );
}
