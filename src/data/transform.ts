// Crops: the evaluation crop that published numbers rest on, and the random crop of training (spec,
// sections 3 and 4). Both follow torchvision's geometry. All frames of a clip share one crop.
import { type Box, type Clip, createClip, frameOf, joinFrames, type Size } from "../media/clip.js";
import { rawImage } from "../media/image.js";
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
export async function trainingCrop(
  clip: Clip,
  size: Size,
  random: RandomStream,
  ranges: CropRanges = defaultRanges,
): Promise<Clip> {
  const aspect = size.width / size.height;
  const [low, high] = ranges.ratio;
  const box = randomBox(clip, random, { ...ranges, ratio: [low * aspect, high * aspect] });
  const isMirrored = random.next() < ranges.flip;
  const crop = await resizeBox(clip, box, size);
  return isMirrored ? mirror(crop) : crop;
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

/**
 * sharp shrinks off the main thread, in the mean within 1/255 of `resample` (a dozen at the sharpest edges); but it
 * enlarges half a pixel off, so enlarging is libtorch's, within 1/255 and fourteen times as fast as `resample`.
 */
async function resizeBox(clip: Clip, box: Box, size: Size): Promise<Clip> {
  const { height, width } = size;
  if (box.height < height || box.width < width) return enlargeBox(clip, box, size);
  const frames = Array.from({ length: clip.frames }, async (_, index) => {
    const data = await rawImage(frameOf(clip, index))
      .extract(box)
      .resize(width, height, { fit: "fill", kernel: "cubic", fastShrinkOnLoad: false })
      .raw()
      .toBuffer();
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
    return createClip(bytes, { height, width });
  });
  return joinFrames(await Promise.all(frames));
}

function enlargeBox(clip: Clip, { top, left, ...box }: Box, { height, width }: Size): Clip {
  const bytes = scope(() => {
    const whole = Tensor.from(clip.bytes, [clip.frames, clip.height, clip.width, 3]);
    const part = whole.narrow(1, top, box.height).narrow(2, left, box.width); // uint8
    const options = { size: [height, width], mode: "bicubic", antialias: true } as const;
    return interpolate(part.permute([0, 3, 1, 2]), options)
      .permute([0, 2, 3, 1])
      .toBytes();
  });
  return createClip(bytes, { frames: clip.frames, height, width });
}

/** The clip with left and right exchanged. */
export function mirror(clip: Clip): Clip {
  const { width } = clip;
  const bytes = new Uint8Array(clip.bytes.length);
  for (let row = 0; row < bytes.length; row += width * 3) {
    for (let x = 0; x < width; x++) {
      const from = row + x * 3;
      const to = row + (width - 1 - x) * 3;
      bytes[to] = clip.bytes[from]!;
      bytes[to + 1] = clip.bytes[from + 1]!;
      bytes[to + 2] = clip.bytes[from + 2]!;
    }
  }
  return { ...clip, bytes };
}

/** Python's round: a half goes to the even neighbour. torchvision's centre crop uses it. */
function roundHalfEven(x: number): number {
  return Number.isInteger(x) || !Number.isInteger(x * 2) ? Math.round(x) : 2 * Math.round(x / 2);
}
