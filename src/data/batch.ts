// A batch: the second of the five nouns. Bytes as the loader hands them over, and the one function each
// way between bytes and pixels in [-1, 1].
// B batch, T frames, H W pixels, 3 colours.
import { type Clip, sameSize } from "../media/clip.js";
import { coloursFirst, coloursLast, toPixels } from "../nn/fused/pixels.js";
import { type DType, scope, Tensor } from "../torch/index.js";

export interface Batch {
  /** RGB bytes [B, T, H, W, 3]. */
  readonly bytes: Uint8Array;
  readonly shape: readonly [number, number, number, number, number];
  /** Global sample index of each clip (epoch * length + position): the key of its random choices. */
  readonly indices: readonly number[];
  /** The source's name of each clip. */
  readonly files: readonly string[];
  /** Class of each clip, or -1 where the source has no classes. */
  readonly labels: readonly number[];
  /** Passes over the source before the first clip, and the first clip's place within its pass. */
  readonly epoch: number;
  readonly position: number;
}

/** Clips of one size as one array of bytes, for `pixelsOf`. */
export function batchOf(clips: readonly Clip[]): Pick<Batch, "bytes" | "shape"> {
  const { frames, height, width } = sameSize(clips);
  const other = clips.find((clip) => clip.frames !== frames);
  if (other)
    throw new RangeError(`Expected ${frames} frames as in the batch, received ${other.frames}.`);
  const length = frames * height * width * 3;
  const bytes = new Uint8Array(clips.length * length);
  clips.forEach((clip, index) => {
    bytes.set(clip.bytes, index * length);
  });
  return { bytes, shape: [clips.length, frames, height, width, 3] };
}

/** Parts of one batch, put together in the order of their clips' indices. */
export function joinBatches(parts: readonly Batch[]): Batch {
  const [first] = parts as [Batch, ...Batch[]];
  const [, ...clip] = first.shape;
  const other = parts.find(({ shape }) => shape.slice(1).join() !== clip.join());
  if (other)
    throw new RangeError(
      `Expected clips of [${clip}] as in the batch, received [${other.shape.slice(1)}].`,
    );
  const rows = parts
    .flatMap((part) => part.indices.map((index, row) => ({ index, part, row })))
    .sort((a, b) => a.index - b.index);
  const length = clip.reduce((product, side) => product * side, 1);
  const bytes = new Uint8Array(rows.length * length);
  rows.forEach(({ part, row }, at) => {
    bytes.set(part.bytes.subarray(row * length, (row + 1) * length), at * length);
  });
  const { epoch, position } = first;
  return {
    bytes,
    shape: [rows.length, ...clip],
    indices: rows.map(({ index }) => index),
    files: rows.map(({ part, row }) => part.files[row]!),
    labels: rows.map(({ part, row }) => part.labels[row]!),
    ...{ epoch, position },
  };
}

/** Bytes of clips, [B, T, H, W, 3], to pixels [B, 3, T, H, W] in [-1, 1]. */
export function pixelsOf(
  batch: Pick<Batch, "bytes" | "shape">,
  options: { device?: string; dtype?: DType } = {},
): Tensor {
  const { device = "cpu", dtype = "float32" } = options;
  return scope(() => toPixels(toDevice(batch, device)).to({ dtype }));
}

/**
 * Bytes of clips, [B, T, H, W, 3], onto a device as uint8 [B, 3, T, H, W]: a quarter of what pixels would take. A view: they lie as
 * they were.
 */
export function toDevice(batch: Pick<Batch, "bytes" | "shape">, device: string): Tensor {
  return scope(() =>
    coloursFirst(Tensor.from(batch.bytes, batch.shape, { dtype: "uint8" }).to({ device })),
  );
}

/** `standard` rounds to the nearest byte, `vitok-paper` truncates. */
export type Rounding = "nearest" | "truncated";

/** Pixels in [-1, 1] to bytes of the same shape where they lie, clamped: (x + 1) * 127.5, then rounded. */
export function roundToBytes(pixels: Tensor, rounding: Rounding = "nearest"): Tensor {
  return scope(() => {
    const scaled = pixels.detach().to({ dtype: "float32" }).clamp(-1, 1).add(1).mul(127.5);
    const whole = rounding === "nearest" ? scaled.round() : scaled; // the cast below truncates
    return whole.to({ dtype: "uint8" });
  });
}

/** Pixels [B, 3, T, H, W] in [-1, 1] to bytes [B, T, H, W, 3] in memory. */
export function bytesOf(pixels: Tensor, rounding?: Rounding): Uint8Array {
  return scope(() => {
    const bytes = coloursLast(roundToBytes(pixels, rounding)).contiguous();
    return bytes.toArray() as Uint8Array;
  });
}

/** Pixels [B, 3, T, H, W] as B clips; see `bytesOf`. */
export function clipsOf(pixels: Tensor, rounding?: Rounding): Clip[] {
  const [count = 0, , frames = 0, height = 0, width = 0] = pixels.shape;
  const bytes = bytesOf(pixels, rounding);
  const length = frames * height * width * 3;
  return Array.from({ length: count }, (_, index) => ({
    bytes: bytes.subarray(index * length, (index + 1) * length),
    frames,
    height,
    width,
  }));
}
