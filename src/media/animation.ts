// Clips as animated WebP, by sharp: a file that a browser plays and that reads without ffmpeg. Reports and the server use it.
// GIF is read the same way. Clips packed for training are film.ts, other video is video.ts; pictures are image.ts.
import sharp from "sharp";
import { type Clip, createClip } from "./clip.js";
import { MediaError } from "./error.js";
import { type Window, windowStart } from "./video-info.js";

/** Files that may hold several frames, by extension. */
export const animationExtensions: readonly string[] = ["webp", "gif"];

interface EncodeOptions {
  readonly fps: number;
  /** 1 to 100; without it nothing is lost. */
  readonly quality?: number;
}

/** A clip as the bytes of an animated WebP that plays for ever. Times are whole milliseconds, without drift. */
export async function encodeAnimation(clip: Clip, options: EncodeOptions): Promise<Buffer> {
  const { bytes, frames, height, width } = clip;
  const { fps, quality } = options;
  if (height * frames > 65_500)
    throw new RangeError(
      `Expected at most ${Math.floor(65_500 / height)} frames of ${height} pixels for an animation, received ${frames}. Write a video.`,
    );
  const timeAt = (frame: number) => Math.round((1000 * frame) / fps);
  const delay = Array.from({ length: frames }, (_, k) => timeAt(k + 1) - timeAt(k));
  const raw = { width, height: height * frames, channels: 3 as const, pageHeight: height };
  return sharp(bytes, { raw })
    .webp({ ...(quality ? { quality } : { lossless: true }), effort: 2, delay, loop: 0 })
    .toBuffer();
}

interface ReadOptions {
  /** What an error calls bytes. */
  readonly name?: string;
  /** All frames at the file's own mean rate by default. */
  readonly window?: Window | undefined;
  /** Where the window lies: 0 is the first place, 1 the last; the middle by default. */
  readonly at?: number | undefined;
}

/**
 * The frames of a window of an animation, by the rule of `readVideo`: what is on the screen in the middle of each frame's
 * share of time; the last one is repeated past the end.
 * @throws MediaError naming the file, where it is missing, damaged or no animation
 */
export async function readAnimation(
  input: string | Uint8Array,
  options: ReadOptions = {},
): Promise<Clip> {
  const name = options.name ?? (typeof input === "string" ? input : "animation");
  try {
    const { pages = 1, delay = [] } = await sharp(input).metadata();
    const ends: number[] = [];
    for (let page = 0; page < pages; page++)
      ends.push((ends.at(-1) ?? 0) + Math.max(1, delay[page] || 100) / 1000); // 0 plays as 100 ms
    const durationS = ends.at(-1)!;
    const { window = { frames: pages, fps: pages / durationS }, at = 0.5 } = options;
    const start = windowStart(durationS, window, at);
    const wanted = Array.from({ length: window.frames }, (_, k) =>
      pageAt(ends, start + (k + 0.5) / window.fps),
    );
    return await readPages(input, wanted);
  } catch (cause) {
    const reason = (cause as Error).message;
    throw new MediaError(name, `cannot be read as an animation: ${reason}`, { cause });
  }
}

const pageAt = (ends: readonly number[], time: number): number => {
  const page = ends.findIndex((end) => time <= end + 1e-3); // times are whole milliseconds
  return page < 0 ? ends.length - 1 : page;
};

/** Decodes no more than from the first to the last page that is wanted. */
async function readPages(input: string | Uint8Array, wanted: readonly number[]): Promise<Clip> {
  const first = wanted[0]!;
  const pages = wanted.at(-1)! - first + 1;
  const { data, info } = await sharp(input, { page: first, pages, failOn: "error" })
    .flatten({ background: "white" })
    .toColourspace("srgb")
    .raw({ depth: "uchar" })
    .toBuffer({ resolveWithObject: true });
  const [width, height] = [info.width, info.height / pages];
  const length = height * width * 3;
  const bytes = new Uint8Array(wanted.length * length);
  wanted.forEach((page, k) => {
    bytes.set(data.subarray((page - first) * length, (page - first + 1) * length), k * length);
  });
  return createClip(bytes, { frames: wanted.length, height, width });
}
