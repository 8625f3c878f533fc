// Picture files to clips of one frame and back, by sharp (libvips). Whatever the file holds comes back as
// 8-bit sRGB. No resizing here (resample.ts, data/transform.ts) and no video (video.ts).
import { extname } from "node:path";
import sharp, { type Sharp } from "sharp";
import { writeFileAtomic } from "../atomic-file.js";
import { type Clip, createClip, sameSize } from "./clip.js";
import { MediaError } from "./error.js";

// Many pictures are decoded at once, one thread each: faster than many threads on one picture. The cache
// of operations is keyed by path and would hand back a file's old content.
sharp.concurrency(1);
sharp.cache(false);

/** What `readImage` can read, by extension. */
export const imageExtensions: readonly string[] = [
  ...["jpg", "jpeg", "png", "webp", "avif", "tif", "tiff", "gif"],
];

/** Larger pictures are refused before they are decoded: 150 million pixels, 450 MB as bytes. */
export const pixelLimit = 150_000_000;

interface ReadOptions {
  /** What an error calls bytes that have no path. */
  name?: string;
  pixelLimit?: number;
}

/**
 * Reads one picture as 8-bit sRGB, [1, H, W, 3].
 *
 * EXIF orientation is applied; embedded colour profiles (CMYK among them) are converted to sRGB; grey and
 * palette become RGB; 16-bit samples keep their upper byte; transparency lies on white, as on a page;
 * an animation gives its first frame.
 *
 * @throws MediaError naming the file, where it is missing, corrupt, truncated, too large or no picture.
 */
export async function readImage(
  input: string | Uint8Array,
  options: ReadOptions = {},
): Promise<Clip> {
  const name = options.name ?? (typeof input === "string" ? input : "image");
  const limitInputPixels = options.pixelLimit ?? pixelLimit;
  try {
    const { data, info } = await sharp(input, { failOn: "error", limitInputPixels })
      .autoOrient()
      .flatten({ background: "white" })
      .toColourspace("srgb")
      .raw({ depth: "uchar" })
      .toBuffer({ resolveWithObject: true });
    const bytes = new Uint8Array(data.buffer, data.byteOffset, data.length);
    return createClip(bytes, { height: info.height, width: info.width });
  } catch (cause) {
    throw new MediaError(name, `cannot be read as a picture: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/**
 * Writes a clip of one frame: `.png` and `.webp` without loss, `.jpg` at quality 95 without chroma
 * subsampling. The file appears whole or not at all.
 */
export async function writeImage(path: string, clip: Clip): Promise<void> {
  const extension = extname(path).slice(1).toLowerCase();
  try {
    writeFileAtomic(path, await encodeImage(clip, extension));
  } catch (cause) {
    throw new MediaError(path, `cannot be written: ${(cause as Error).message}`, { cause });
  }
}

/** A clip of one frame as the bytes of a picture file; `format` is an extension: png, webp or jpg. */
export async function encodeImage(clip: Clip, format: string): Promise<Buffer> {
  if (clip.frames !== 1) {
    throw new RangeError(
      `Expected 1 frame for a picture, received ${clip.frames}. Pick one with frameOf(), or write a video.`,
    );
  }
  const picture = rawImage(clip);
  switch (format) {
    case "png":
      return picture.png().toBuffer();
    case "webp":
      return picture.webp({ lossless: true }).toBuffer();
    case "jpg":
    case "jpeg":
      return picture.jpeg({ quality: 95, chromaSubsampling: "4:4:4" }).toBuffer();
    default:
      throw new RangeError(`Expected png, webp or jpg for a picture, received "${format}".`);
  }
}

/** The first frame of a clip as a sharp pipeline. */
export function rawImage({ bytes, height, width }: Clip): Sharp {
  const frame = bytes.subarray(0, height * width * 3);
  return sharp(frame, { raw: { width, height, channels: 3 } });
}

interface TileOptions {
  /** Pixels between pictures. */
  gap?: number;
  /** Grey level of gaps and empty places, 0..255. */
  background?: number;
}

/** Lays clips of one size out on a grid, row by row. Of clips with several frames, as many as the shortest has. */
export function tile(clips: readonly Clip[], columns: number, options: TileOptions = {}): Clip {
  const { gap = 2, background = 255 } = options;
  const { height, width } = sameSize(clips);
  if (!Number.isInteger(columns) || columns < 1) {
    throw new RangeError(`Expected a whole number of at least 1 for columns, received ${columns}.`);
  }
  const rows = Math.ceil(clips.length / columns);
  const sheetWidth = columns * (width + gap) - gap;
  const sheetHeight = rows * (height + gap) - gap;
  const frames = Math.min(...clips.map((clip) => clip.frames));
  const bytes = new Uint8Array(frames * sheetHeight * sheetWidth * 3).fill(background);
  clips.forEach((clip, index) => {
    const top = Math.floor(index / columns) * (height + gap);
    const left = (index % columns) * (width + gap);
    for (let row = 0; row < frames * height; row++) {
      const [frame, y] = [Math.floor(row / height), row % height];
      const line = clip.bytes.subarray(row * width * 3, (row + 1) * width * 3);
      bytes.set(line, ((frame * sheetHeight + top + y) * sheetWidth + left) * 3);
    }
  });
  return createClip(bytes, { frames, height: sheetHeight, width: sheetWidth });
}
