// One chunk of frames through the model in tiles: latents of overlapping tiles are blended into one field of tokens, and its
// tiles' pixels into one picture, so that what lies between them knows nothing of the tiles. Memory is that of one row of
// tiles beside the bytes. Frames of any number are stream.ts. Legend: t h w token grid, c channels, T H W pixels.
import { bytesOf } from "../data/batch.js";
import type { Box, Clip } from "../media/clip.js";
import type { Grid } from "../nn/rope.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { noGrad, scope, Tensor, zeros } from "../torch/index.js";
import { encodeClip } from "./encode.js";
import { type AxisWindow, axisWindows, requireTileable, type Tiling } from "./tiling.js";

/** Posterior means of a clip as numbers, [t, h, w, c] (or [l, c] of a Latent model). */
export interface Field {
  readonly values: Float32Array;
  readonly grid: Grid;
  readonly size: ClipSize;
}

/** Rounding to bytes makes several copies: of so many rows of pixels at a time. */
const rowsAtOnce = 64;

interface TileOptions {
  readonly tiling: Tiling;
  /** What errors call the input. */
  readonly source: string;
  readonly keep?: number | undefined;
}

/** Encodes a clip. @throws ConfigError where it needs tiles and the model is a Latent one */
export function encodeTiled(tokenizer: AutoEncoder, clip: Clip, options: TileOptions): Field {
  const { patchSize: p, channels: c } = tokenizer.config;
  const [h, w] = [Math.ceil(clip.height / p), Math.ceil(clip.width / p)];
  const [rows, columns] = windowsOf([h, w], options.tiling, 1);
  if (rows.length * columns.length === 1) return encodeWhole(tokenizer, clip);
  requireTileable(tokenizer.config, options);
  let values: Float32Array | undefined;
  let t = 0;
  for (const row of rows)
    for (const column of columns) {
      const tile = encodeWhole(tokenizer, cut(clip, boxOf(row, column, { p, clip })));
      t = tile.grid.t;
      values ??= new Float32Array(t * h * w * c);
      addTile(values, tile.values, { t, h, w, c, row, column });
    }
  const { frames, height, width } = clip;
  return { values: values!, grid: { t, h, w }, size: { frames, height, width } };
}

/** Decodes a field and rounds to the nearest byte. */
export function decodeTiled(tokenizer: AutoEncoder, field: Field, options: TileOptions): Clip {
  const { grid, size } = field;
  const { patchSize: p } = tokenizer.config;
  const [rows, columns] = windowsOf([grid.h, grid.w], options.tiling, p);
  const { frames, height, width } = size;
  const bytes = new Uint8Array(frames * height * width * 3);
  const isTiled = rows.length * columns.length > 1;
  if (isTiled) requireTileable(tokenizer.config, options);
  scope(() =>
    noGrad(() => {
      let carry: Tensor | undefined; // what the rows so far add to those of the next
      rows.forEach((row, i) => {
        const next = rows[i + 1]?.start ?? grid.h;
        const band = scope(() => decodeRow(tokenizer, field, { row, columns, carry, options }));
        carry?.dispose();
        const done = (next - row.start) * p;
        const clipRows = Math.min(done, height - row.start * p);
        for (let at = 0; at < clipRows; at += rowsAtOnce) {
          const count = Math.min(rowsAtOnce, clipRows - at);
          const ready = scope(() => bytesOf(band.narrow(3, at, count).narrow(4, 0, width)));
          copyRows(ready, bytes, { frames, height, width, top: row.start * p + at, rows: count });
        }
        const left = row.length * p - done;
        carry = left > 0 ? scope(() => band.narrow(3, done, left).clone()) : undefined;
        band.dispose();
      });
    }),
  );
  return { bytes, frames, height, width };
}

interface RowOptions {
  readonly row: AxisWindow;
  readonly columns: readonly AxisWindow[];
  readonly carry: Tensor | undefined;
  readonly options: TileOptions;
}

/** The blended pixels of a row of tiles, [1, 3, T, rows, w p], on the CPU. */
function decodeRow(
  tokenizer: AutoEncoder,
  { values, grid, size }: Field,
  { row, columns, carry, options }: RowOptions,
): Tensor {
  const { patchSize: p, channels: c } = tokenizer.config;
  const { device } = tokenizer.placement;
  const { t, h, w } = grid;
  const band = zeros([1, 3, size.frames, row.length * p, w * p]);
  if (carry) band.narrow(3, 0, carry.size(3)).add_(carry);
  for (const column of columns)
    scope(() => {
      const part = { t, h: row.length, w: column.length };
      const isWhole = part.h === h && part.w === w; // also a Latent model's code, which has no grid
      const tile = isWhole ? values : takeTile(values, { t, h, w, c, row, column });
      const z = Tensor.from(tile, [1, tile.length / c, c], { device });
      const pixels = tokenizer
        .decode(z, part, { keep: options.keep })
        .narrow(2, 0, size.frames)
        .to({ device: "cpu" });
      const weighted = isWhole
        ? pixels
        : pixels
            .mul(Tensor.from(row.weights, [row.weights.length, 1]))
            .mul(Tensor.from(column.weights, [column.weights.length]));
      band.narrow(4, column.start * p, column.length * p).add_(weighted);
    });
  return band;
}

function encodeWhole(tokenizer: AutoEncoder, clip: Clip): Field {
  return scope(() => {
    const { mean, grid, size } = encodeClip(tokenizer, clip);
    const values = mean.to({ dtype: "float32" }).toArray() as Float32Array;
    return { values, grid, size };
  });
}

function windowsOf(
  lengths: readonly [number, number],
  { tile, halo }: Tiling,
  scale: number,
): [AxisWindow[], AxisWindow[]] {
  const windows = lengths.map((length) => axisWindows(length, { size: tile, shared: halo, scale }));
  return windows as [AxisWindow[], AxisWindow[]];
}

/** The pixels of a tile; at the right and lower border it may be smaller than its patches, and the model pads it. */
function boxOf(row: AxisWindow, column: AxisWindow, { p, clip }: { p: number; clip: Clip }): Box {
  const [top, left] = [row.start * p, column.start * p];
  return {
    ...{ top, left },
    height: Math.min(row.length * p, clip.height - top),
    width: Math.min(column.length * p, clip.width - left),
  };
}

/** A box of every frame. */
export function cut(clip: Clip, { top, left, height, width }: Box): Clip {
  const bytes = new Uint8Array(clip.frames * height * width * 3);
  for (let frame = 0; frame < clip.frames; frame++)
    for (let y = 0; y < height; y++) {
      const from = ((frame * clip.height + top + y) * clip.width + left) * 3;
      bytes.set(clip.bytes.subarray(from, from + width * 3), (frame * height + y) * width * 3);
    }
  return { bytes, frames: clip.frames, height, width };
}

interface Place {
  readonly t: number;
  readonly h: number;
  readonly w: number;
  readonly c: number;
  readonly row: AxisWindow;
  readonly column: AxisWindow;
}

/** Adds a tile's tokens to the field by their weights. */
function addTile(field: Float32Array, tile: Float32Array, place: Place): void {
  eachToken(place, (at, from, weight) => {
    for (let k = 0; k < place.c; k++) field[at + k]! += weight * tile[from + k]!;
  });
}

function takeTile(field: Float32Array, place: Place): Float32Array {
  const { t, c, row, column } = place;
  const tile = new Float32Array(t * row.length * column.length * c);
  eachToken(place, (at, to) => {
    for (let k = 0; k < c; k++) tile[to + k] = field[at + k]!;
  });
  return tile;
}

/** For every token of a tile: where it is in the field, where in the tile, and its weight (of tokens). */
function eachToken(
  { t, h, w, c, row, column }: Place,
  visit: (inField: number, inTile: number, weight: number) => void,
): void {
  for (let time = 0; time < t; time++)
    for (let y = 0; y < row.length; y++)
      for (let x = 0; x < column.length; x++) {
        const inField = ((time * h + row.start + y) * w + column.start + x) * c;
        const inTile = ((time * row.length + y) * column.length + x) * c;
        visit(inField, inTile, row.weights[y]! * column.weights[x]!);
      }
}

/** Rows that are ready, [T, rows, W, 3], into the clip [T, H, W, 3]. */
function copyRows(
  ready: Uint8Array,
  bytes: Uint8Array,
  { frames, height, width, top, rows }: ClipSize & { top: number; rows: number },
): void {
  const length = rows * width * 3;
  for (let frame = 0; frame < frames; frame++) {
    const part = ready.subarray(frame * length, (frame + 1) * length);
    bytes.set(part, (frame * height + top) * width * 3);
  }
}
