// Crops: the evaluation crop that published numbers rest on, and the random crop of training (spec,
// sections 3 and 4). Both follow torchvision's geometry. All frames of a clip share one crop.
import { type Box, type Clip, createClip, type Size } from "../media/clip.js";
import { type Filter, resample } from "../media/resample.js";
import { interpolate, scope, Tensor } from "../torch/index.js";
import type { RandomStream } from "./random.js";

/** Resizes the short side to `size` (antialiased), then cuts the centre square. Bit for bit Pillow's. */
export function evaluationCrop(clip: Clip, size: number, filter: Filter = "bicubic"): Clip {
  const resized = shortSideSize(clip, size);
  const window = centreBox(resized, { height: size, width: size });
  return resample(clip, resized, { window, filter });
}

/** The size after the short side became `size`; the long side is rounded down, as torchvision does. */
export function shortSideSize({ height, width }: Size, size: number): Size {
  return height <= width
    ? { height: size, width: Math.trunc((size * width) / height) }
    : { height: Math.trunc((size * height) / width), width: size };
}

/** The box of size `inner` in the middle of `outer`. */
export function centreBox(outer: Size, inner: Size): Box {
  const top = roundHalfEven((outer.height - inner.height) / 2);
  const left = roundHalfEven((outer.width - inner.width) / 2);
  return { top, left, ...inner };
}

export interface CropRanges {
  /** Area of the crop over the area of the picture. */
  scale: readonly [number, number];
  /** Width over height of the crop. */
  ratio: readonly [number, number];
  /** Probability of a mirror image. */
  flip: number;
}

/** What ViTok trains with [author]. `scale` and `ratio` of [1, 1] give the centre square. */
export const defaultRanges: CropRanges = { scale: [0.8, 1], ratio: [3 / 4, 4 / 3], flip: 0.5 };

/** A random crop resized to `size` (antialiased bicubic), mirrored or not; `ranges.ratio` is relative to its aspect. */
export function trainingCrop(
  clip: Clip,
  size: Size,
  random: RandomStream,
  ranges: CropRanges = defaultRanges,
): Clip {
  const aspect = size.width / size.height;
  const [low, high] = ranges.ratio;
  const box = randomBox(clip, random, { ...ranges, ratio: [low * aspect, high * aspect] });
  return cutBox(clip, { box, size, isMirrored: random.next() < ranges.flip });
}

/** A box of random area and shape; after ten that do not fit, the largest allowed one in the middle. */
export function randomBox(clip: Size, random: RandomStream, { scale, ratio }: CropRanges): Box {
  const [low, high] = [Math.log(ratio[0]), Math.log(ratio[1])];
  for (let attempt = 0; attempt < 10; attempt++) {
    const area = clip.height * clip.width * random.between(...scale);
    const shape = Math.exp(random.between(low, high));
    const width = Math.round(Math.sqrt(area * shape));
    const height = Math.round(Math.sqrt(area / shape));
    if (width < 1 || height < 1 || width > clip.width || height > clip.height) continue;
    const top = random.int(clip.height - height + 1);
    const left = random.int(clip.width - width + 1);
    return { top, left, height, width };
  }
  const height = Math.min(clip.height, Math.round(clip.width / ratio[0]));
  const width = Math.min(clip.width, Math.round(clip.height * ratio[1]));
  return centreBox(clip, { height, width });
}

interface Cut {
  readonly box: Box;
  readonly size: Size;
  readonly isMirrored: boolean;
}

/**
 * A box resized, left and right exchanged or not. By libtorch, within 1/255 of `resample` and ten times as fast as sharp, which
 * enlarges half a pixel off, too.
 */
function cutBox(clip: Clip, { box, size, isMirrored }: Cut): Clip {
  const { top, left, height, width } = box;
  const rowLength = clip.width * 3;
  const isPicture = clip.frames === 1; // then the rows of the box are one piece
  const rows = isPicture
    ? clip.bytes.subarray(top * rowLength, (top + height) * rowLength)
    : clip.bytes;
  const bytes = scope(() => {
    const whole = Tensor.from(rows, [
      clip.frames,
      rows.length / rowLength / clip.frames,
      clip.width,
      3,
    ]);
    const part = whole.narrow(1, isPicture ? 0 : top, height).narrow(2, left, width); // uint8
    const options = { size: [size.height, size.width], mode: "bicubic", antialias: true } as const;
    const cut = interpolate(part.permute([0, 3, 1, 2]), options).permute([0, 2, 3, 1]);
    return (isMirrored ? cut.flip([2]) : cut).toBytes();
  });
  return createClip(bytes, { frames: clip.frames, ...size });
}

/** Python's round: a half goes to the even neighbour. torchvision's centre crop uses it. */
function roundHalfEven(x: number): number {
  return Number.isInteger(x) || !Number.isInteger(x * 2) ? Math.round(x) : 2 * Math.round(x / 2);
}
