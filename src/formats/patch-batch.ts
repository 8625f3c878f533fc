// Pictures of many sizes and aspects as one batch of patches (ViTok-v2's native aspect ratio): each patch with its row and
// column, shorter pictures filled up with patches that nobody sees. No model here.
// B batch, N tokens, p patch side.
import type { Grid } from "../nn/rope.js";
import { padConstant, scope, stack, Tensor } from "../torch/index.js";
import type { TokenPlaces } from "./vitok-v2-layers.js";

export interface PatchBatch {
  /** [B, N, 3pp] patches, or [B, N, c] their code. */
  readonly tokens: Tensor;
  /** Of each token, row-major [B, N]; [1, N] where all samples are alike. */
  readonly rows: Int32Array;
  readonly columns: Int32Array;
  /** How many of each sample's tokens are real, the first ones; undefined where all are. */
  readonly counts: readonly number[] | undefined;
}

/** Patches of whole pictures [B, 3, H, W] -> [B, N, 3pp], row by row; a patch holds its colours one after the other. */
export function patchesOf(pictures: Tensor, p: number): Tensor {
  const [batch, colours, height, width] = pictures.shape as [number, number, number, number];
  return pictures
    .reshape([batch, colours, height / p, p, width / p, p])
    .permute([0, 2, 4, 1, 3, 5])
    .reshape([batch, (height / p) * (width / p), colours * p * p]);
}

/** The inverse of `patchesOf`, for a grid of h x w. */
export function unpatch(patches: Tensor, { h, w }: Pick<Grid, "h" | "w">, p: number): Tensor {
  return patches
    .reshape([-1, h, w, 3, p, p])
    .permute([0, 3, 1, 4, 2, 5])
    .reshape([-1, 3, h * p, w * p]);
}

/** Tokens of pictures that all have one grid, nothing filled up. */
export function tokenGrid(tokens: Tensor, { h, w }: Pick<Grid, "h" | "w">): PatchBatch {
  const index = Int32Array.from({ length: h * w }, (_, place) => place);
  return {
    tokens,
    rows: index.map((place) => Math.floor(place / w)),
    columns: index.map((place) => place % w),
    counts: undefined,
  };
}

/**
 * Pictures [3, H, W] of any sizes, padded with grey to whole patches, as one batch of `maxTokens` tokens each.
 * @throws RangeError where one has more patches than that
 */
export function batchPatches(
  pictures: readonly Tensor[],
  p: number,
  maxTokens: number,
): PatchBatch {
  const rows = new Int32Array(pictures.length * maxTokens);
  const columns = new Int32Array(pictures.length * maxTokens);
  const counts: number[] = [];
  const tokens = scope(() => {
    const filled = pictures.map((picture, sample) => {
      const { h, w } = gridOfPicture(picture, p);
      if (h * w > maxTokens)
        throw new RangeError(
          `Expected at most ${maxTokens} patches a picture, received ${h} x ${w}. Resize it, or raise maxTokens.`,
        );
      counts.push(h * w);
      for (let place = 0; place < h * w; place++) {
        rows[sample * maxTokens + place] = Math.floor(place / w);
        columns[sample * maxTokens + place] = place % w;
      }
      const [, height, width] = picture.shape as [number, number, number];
      const padded = padConstant(picture, [0, w * p - width, 0, h * p - height]);
      return padConstant(patchesOf(padded.unsqueeze(0), p).squeeze(0), [
        0,
        0,
        0,
        maxTokens - h * w,
      ]);
    });
    return stack(filled);
  });
  return { tokens, rows, columns, counts };
}

/** Sample `index` of a batch of patches as the picture [3, H, W] it was. */
export function pictureOf(
  patches: Tensor,
  index: number,
  { height, width }: { height: number; width: number },
  p: number,
): Tensor {
  const grid = { h: Math.ceil(height / p), w: Math.ceil(width / p) };
  const own = patches.narrow(0, index, 1).narrow(1, 0, grid.h * grid.w);
  return unpatch(own, grid, p).squeeze(0).narrow(1, 0, height).narrow(2, 0, width);
}

function gridOfPicture(picture: Tensor, p: number): { h: number; w: number } {
  const [, height, width] = picture.shape as [number, number, number];
  return { h: Math.ceil(height / p), w: Math.ceil(width / p) };
}

/** Rotations, rows in the first half of a head's pairs and columns in the second (theta 10000), and who sees whom. */
export function placesOf(
  { tokens, rows, columns, counts }: PatchBatch,
  headWidth: number,
): TokenPlaces {
  const { device } = tokens;
  const [batch, length] = tokens.shape as [number, number];
  const each = headWidth / 4;
  const angles = new Float32Array(rows.length * 2 * each);
  rows.forEach((row, token) => {
    for (let k = 0; k < each; k++) {
      const frequency = 10_000 ** (-k / each);
      angles[token * 2 * each + k] = row * frequency;
      angles[token * 2 * each + each + k] = columns[token]! * frequency;
    }
  });
  const shape = [rows.length / length, length, 1, 2 * each];
  return {
    cos: Tensor.from(angles.map(Math.cos), shape, { device }),
    sin: Tensor.from(angles.map(Math.sin), shape, { device }),
    mask: counts && maskOf(counts, batch, length).to({ device }),
  };
}

/** Real tokens see real tokens; the others themselves, for a softmax needs something. */
function maskOf(counts: readonly number[], batch: number, length: number): Tensor {
  const sees = new Uint8Array(batch * length * length);
  counts.forEach((count, sample) => {
    const start = sample * length * length;
    for (let query = 0; query < length; query++) {
      if (query < count) sees.fill(1, start + query * length, start + query * length + count);
      else sees[start + query * length + query] = 1;
    }
  });
  return Tensor.from(sees, [batch, 1, length, length]).to({ dtype: "bool" });
}
