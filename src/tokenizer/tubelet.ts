// Pixels to tokens and back: a 3D convolution whose kernel is its stride is one matrix product over cut-out boxes.

import { toPixels } from "../nn/fused/pixels.js";
import { parameter } from "../nn/parameters.js";
import type { Grid } from "../nn/rope.js";
import { working } from "../nn/working.js";
import { linear, type Tensor } from "../torch/index.js";
import { cutBoxes, joinBoxes, suitsCut, suitsJoin } from "./fused-boxes.js";

/** q frames x p x p pixels. */
export interface TubeletSize {
  readonly q: number;
  readonly p: number;
}

/** pixels [B, 3, T, H, W] -> boxes [B, N, 3qpp], tokens in (time, row, column) order. T, H, W are multiples of q, p, p. */
export function patchify(pixels: Tensor, { q, p }: TubeletSize): Tensor {
  const [b, c, frames, height, width] = pixels.shape as [number, number, number, number, number];
  const [t, h, w] = [frames / q, height / p, width / p];
  return pixels
    .reshape([b, c, t, q, h, p, w, p])
    .permute([0, 2, 4, 6, 1, 3, 5, 7])
    .reshape([b, t * h * w, c * q * p * p]);
}

/** The inverse of patchify. */
export function unpatchify(boxes: Tensor, { t, h, w }: Grid, { q, p }: TubeletSize): Tensor {
  return boxes
    .reshape([-1, t, h, w, 3, q, p, p])
    .permute([0, 4, 1, 5, 2, 6, 3, 7])
    .reshape([-1, 3, t * q, h * p, w * p]);
}

export class TubeletEmbed {
  readonly weight: Tensor; // [D, 3, q, p, p], as Conv3d's
  readonly bias: Tensor; // [D]

  constructor(
    width: number,
    private readonly size: TubeletSize,
  ) {
    this.weight = parameter([width, 3, size.q, size.p, size.p]);
    this.bias = parameter([width]);
  }

  /** [B, 3, T, H, W], pixels in [-1, 1] or bytes -> [B, N, D] */
  forward(pixels: Tensor): Tensor {
    const weight = working(this.weight);
    const { dtype } = weight;
    const boxes = suitsCut(pixels, this.size, dtype)
      ? cutBoxes(pixels, this.size, dtype)
      : patchify(toPixels(pixels).to({ dtype }), this.size);
    return linear(boxes, weight.flatten(1), working(this.bias));
  }
}

export class TubeletUnembed {
  readonly weight: Tensor; // [D, 3, q, p, p], as ConvTranspose3d's
  readonly bias: Tensor; // [3]

  constructor(
    width: number,
    private readonly size: TubeletSize,
  ) {
    this.weight = parameter([width, 3, size.q, size.p, size.p]);
    this.bias = parameter([3]);
  }

  /** [B, N, D] -> [B, 3, T, H, W] */
  forward(x: Tensor, grid: Grid): Tensor {
    const { q, p } = this.size;
    const weight = working(this.weight).flatten(1).transpose(0, 1);
    if (suitsJoin(x, this.bias, this.size))
      return joinBoxes(linear(x, weight), this.bias, grid, this.size);
    const bias = working(this.bias)
      .unsqueeze(1)
      .expand([3, q * p * p])
      .flatten();
    return unpatchify(linear(x, weight, bias), grid, this.size);
  }
}
