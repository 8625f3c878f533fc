// What a metric is, and the kind that is a mean over pictures: PSNR, SSIM, LPIPS. Of clips, every
// frame is a picture. Legend: B batch, T frames, H W pixels, N = B * T pictures.
import { foldFrames } from "../perceptual/frames.js";
import { cat, noGrad, scope, type Tensor } from "../torch/index.js";

export interface Metric {
  /**
   * Pixels 0..255 (uint8, or any float dtype holding them), [B, 3, H, W] or [B, 3, T, H, W], both
   * of one shape.
   */
  update(real: Tensor, fake: Tensor): void;
  /** Named results over everything seen. Throws where nothing was. */
  compute(): Record<string, number>;
}

/** A metric that is a mean over pictures and remembers each, for the best and the worst. */
export interface PictureMetric extends Metric {
  readonly name: string;
  /** One number a picture, float64 [B * T], where the pixels lie: nothing is remembered, and no device waited for. */
  measure(real: Tensor, fake: Tensor): Tensor;
  /** one a picture, in the order of update(); of clips, one a frame */
  readonly values: readonly number[];
}

/** `measure`: float32 pictures 0..255 [N, 3, H, W], real and fake -> one number a picture [N]. */
export function pictureMetric(
  name: string,
  measure: (real: Tensor, fake: Tensor) => Tensor,
): PictureMetric {
  const values: number[] = [];
  const measured = (real: Tensor, fake: Tensor): Tensor => {
    requireAlike(name, real, fake);
    return noGrad(() =>
      scope(() => measure(toPictures(real), toPictures(fake)).to({ dtype: "float64" })),
    );
  };
  return {
    name,
    values,
    measure: measured,
    update(real, fake) {
      for (const value of scope(() => measured(real, fake).toArray())) values.push(Number(value));
    },
    compute: () => ({ [name]: summarise(values).mean }),
  };
}

/**
 * Some pictures at a time, about `values` numbers, so that memory does not grow with their count. real, fake [N, 3, H, W] ->
 * what `score` makes of them, [N, ...].
 */
export function byParts(
  [real, fake]: readonly [Tensor, Tensor],
  values: number,
  score: (real: Tensor, fake: Tensor) => Tensor,
): Tensor {
  const count = real.size(0);
  const size = Math.max(1, Math.floor(values / (real.numel / count)));
  const parts = Array.from({ length: Math.ceil(count / size) }, (_, i) => {
    const part = (pictures: Tensor) => pictures.slice(0, i * size, (i + 1) * size);
    return scope(() => score(part(real), part(fake)));
  });
  return cat(parts, 0);
}

const toPictures = (pixels: Tensor): Tensor => foldFrames(pixels.to({ dtype: "float32" }));

export interface Summary {
  readonly mean: number;
  /**
   * the mean's 95 % confidence interval is mean +- this (normal approximation; NaN for one value)
   */
  readonly halfWidth: number;
  readonly count: number;
}

/** Mean and confidence interval. Throws where there are no values. */
export function summarise(values: readonly number[]): Summary {
  const count = values.length;
  if (count === 0) throw new Error("Expected at least one picture to score, received none.");
  const mean = values.reduce((sum, value) => sum + value, 0) / count;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  return { mean, halfWidth: 1.96 * Math.sqrt(squares / (count - 1) / count), count };
}

function requireAlike(name: string, real: Tensor, fake: Tensor): void {
  const isPixels = (real.ndim === 4 || real.ndim === 5) && real.shape[1] === 3;
  if (isPixels && real.shape.join() === fake.shape.join()) return;
  throw new Error(
    `Expected two batches of one shape, [B, 3, H, W] or [B, 3, T, H, W], for ${name}, ` +
      `received [${real.shape}] and [${fake.shape}]. Crop both alike.`,
  );
}
