// Videos of any length through the model: chunks of frames that overlap, faded into each other, so that memory is that of
// one chunk and no chunk's border is seen. Latents first (encodeStream), pixels after (decodeStream); tiles are tiles.ts.
// Around each chunk freed memory goes back: kept, it is cut into pieces by frames that the garbage collector frees late, and grows.
import { type Clip, joinFrames } from "../media/clip.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { giveBack } from "./give-back.js";
import { decodeTiled, encodeTiled, type Field } from "./tiles.js";
import { laterShare, requireTileable, type Tiling } from "./tiling.js";

/** Slices of the latent that are ready, [n, h, w, c], in their order. */
export interface Slab {
  readonly values: Float32Array;
  /** n */
  readonly slices: number;
}

interface StreamOptions {
  readonly tiling: Tiling;
  /** What errors call the input. */
  readonly source: string;
  readonly keep?: number | undefined;
}

/**
 * Encodes frames of one size as they come. All slabs together are the latent [ceil(T / q), h, w, c] of the video.
 * @throws ConfigError for a video longer than a chunk and a Latent model
 */
export async function* encodeStream(
  tokenizer: AutoEncoder,
  frames: AsyncIterable<Clip>,
  options: StreamOptions,
): AsyncGenerator<Slab, void> {
  const { chunk, overlap } = options.tiling;
  const shared = overlap / tokenizer.config.tubeletSize;
  let held: Clip[] = [];
  let tail: Float32Array | undefined; // what the last chunk says about the slices it shares with the next
  for await (const frame of frames) {
    if (held.length === chunk) {
      requireTileable(tokenizer.config, options); // there is a second chunk
      giveBack();
      const field = encodeTiled(tokenizer, joinFrames(held), options);
      const sliceLength = field.values.length / field.grid.t;
      fade(tail, field.values, shared, sliceLength);
      const ready = field.grid.t - shared;
      yield { values: field.values.subarray(0, ready * sliceLength), slices: ready };
      tail = field.values.slice(ready * sliceLength);
      held = held.slice(chunk - overlap);
    }
    held.push(frame);
  }
  if (!held.length) return;
  giveBack();
  const { values, grid } = encodeTiled(tokenizer, joinFrames(held), options);
  fade(tail, values, shared, values.length / grid.t);
  yield { values, slices: grid.t };
}

/** Fades the start of `later` in over the end of what was before, in place. */
function fade(
  before: ArrayLike<number> | undefined,
  later: { [index: number]: number; readonly length: number },
  shared: number,
  sliceLength: number,
): void {
  if (!before) return;
  for (let slice = 0, at = 0; slice < shared; slice++) {
    const share = laterShare(slice, shared);
    for (const end = at + sliceLength; at < end; at++)
      later[at] = before[at]! + share * (later[at]! - before[at]!);
  }
}

/** What the slabs of a latent are decoded to. */
interface DecodeOptions extends StreamOptions {
  /** Frames in all, and pixels before padding. */
  readonly size: ClipSize;
  /** Tokens of a slice. */
  readonly grid: { readonly h: number; readonly w: number };
}

/** Decodes the slabs of a latent as they come; the clips together are the video of `size.frames` frames. */
export async function* decodeStream(
  tokenizer: AutoEncoder,
  slabs: AsyncIterable<Slab>,
  options: DecodeOptions,
): AsyncGenerator<Clip, void> {
  const { size, grid, tiling } = options;
  const { tubeletSize: q } = tokenizer.config;
  const { height, width } = size;
  const frameLength = height * width * 3;
  const wanted = tiling.chunk / q;
  let [start, tail] = [0, undefined as Uint8Array | undefined];
  const queue = new SlabQueue();
  const decode = (values: Float32Array, t: number): Clip => {
    const frames = Math.min(t * q, size.frames - start);
    const field: Field = {
      values,
      grid: { t, h: grid.h, w: grid.w },
      size: { frames, height, width },
    };
    giveBack();
    const clip = decodeTiled(tokenizer, field, options);
    giveBack();
    const { buffer, byteOffset, length } = clip.bytes;
    const rounding = new Uint8ClampedArray(buffer, byteOffset, length);
    fade(tail, rounding, Math.min(tiling.overlap, frames), frameLength);
    return clip;
  };
  for await (const slab of slabs) {
    queue.push(slab);
    while (queue.slices > wanted) {
      requireTileable(tokenizer.config, options);
      const clip = decode(queue.peek(wanted), wanted);
      const ready = tiling.chunk - tiling.overlap;
      yield { ...clip, bytes: clip.bytes.subarray(0, ready * frameLength), frames: ready };
      tail = clip.bytes.slice(ready * frameLength);
      queue.drop(ready / q);
      start += ready;
    }
  }
  if (queue.slices) yield decode(queue.peek(queue.slices), queue.slices);
}

/** Slices in a row, whatever pieces they came in. */
class SlabQueue {
  slices = 0;
  #values = new Float32Array(0);

  push({ values, slices }: Slab): void {
    const joined = new Float32Array(this.#values.length + values.length);
    joined.set(this.#values);
    joined.set(values, this.#values.length);
    this.#values = joined;
    this.slices += slices;
  }

  peek(slices: number): Float32Array {
    return this.#values.subarray(0, (slices * this.#values.length) / this.slices);
  }

  drop(slices: number): void {
    this.#values = this.#values.slice((slices * this.#values.length) / this.slices);
    this.slices -= slices;
  }
}
