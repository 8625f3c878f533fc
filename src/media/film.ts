// Clips as film strips: a few JPEG pictures, in each of which frames lie one below another. They read several times faster than
// an animated WebP, and of a long clip only the strips that a window touches. How shards hold them is data/shards/samples.ts.
import sharp from "sharp";
import { z } from "zod";
import { type Clip, createClip } from "./clip.js";
import { MediaError } from "./error.js";
import { type Window, windowStart } from "./video-info.js";

const whole = z.int().positive();
const filmSchema = z.object({
  fps: z.number().positive(),
  frames: whole,
  height: whole,
  width: whole,
  stripFrames: whole,
});

/** What the strips hold: `frames` of `height` x `width` pixels at `fps`, `stripFrames` in each strip, in the last what is left. */
export type Film = z.output<typeof filmSchema>;

/** A call costs about as much as three frames: shorter strips would cost more calls, longer ones more unwanted frames. */
const mostFrames = 16;
/** JPEG has no more rows than 65,535. */
const mostRows = 65_528;

/** Frames begin at a multiple of JPEG's blocks, so that none bleeds into its neighbour. */
const rowsOf = (height: number): number => Math.ceil(height / 8) * 8;

export const stripsOf = ({ frames, stripFrames }: Film): number => Math.ceil(frames / stripFrames);

interface EncodeOptions {
  readonly fps: number;
  /** Of JPEG, 1 to 100. */
  readonly quality: number;
}

/** A clip as film strips, without chroma subsampling. */
export async function encodeFilm(
  clip: Clip,
  { fps, quality }: EncodeOptions,
): Promise<{ film: Film; strips: Buffer[] }> {
  const { frames, height, width } = clip;
  const stripFrames = Math.min(mostFrames, frames, Math.floor(mostRows / rowsOf(height)));
  const film = { fps, frames, height, width, stripFrames };
  const strips: Buffer[] = [];
  for (let first = 0; first < frames; first += stripFrames) {
    const count = Math.min(stripFrames, frames - first);
    const raw = { width, height: count * rowsOf(height), channels: 3 as const };
    const picture = sharp(stack(clip, first, count), { raw });
    strips.push(await picture.jpeg({ quality, chromaSubsampling: "4:4:4" }).toBuffer());
  }
  return { film, strips };
}

/** Frames one below another, each with its last row repeated to `rowsOf` its height. */
function stack({ bytes, height, width }: Clip, first: number, count: number): Uint8Array {
  const [row, rows] = [width * 3, rowsOf(height)];
  if (rows === height) return bytes.subarray(first * height * row, (first + count) * height * row);
  const stacked = new Uint8Array(count * rows * row);
  for (let k = 0; k < count; k++) {
    const frame = bytes.subarray((first + k) * height * row, (first + k + 1) * height * row);
    stacked.set(frame, k * rows * row);
    for (let y = height; y < rows; y++) stacked.set(frame.subarray(-row), (k * rows + y) * row);
  }
  return stacked;
}

/** The description in a JSON text; undefined where it is none. */
export function parseFilm(text: string): Film | undefined {
  try {
    return filmSchema.parse(JSON.parse(text));
  } catch {
    return undefined;
  }
}

interface ReadOptions {
  /** What an error calls the film. */
  readonly name: string;
  /** All frames by default. */
  readonly window?: Window | undefined;
  /** Where the window lies: 0 is the first place, 1 the last; the middle by default. */
  readonly at?: number | undefined;
}

/**
 * The frames of a window, by the rule of `readVideo`: what is on the screen in the middle of each frame's share of time; the
 * last one is repeated past the end. `readStrip` gives a strip's bytes; it is asked for those that the window touches.
 * @throws MediaError naming the film, where a strip is damaged or smaller than it should be
 */
export async function readFilm(
  film: Film,
  readStrip: (strip: number) => Promise<Uint8Array>,
  { name, window = film, at = 0.5 }: ReadOptions,
): Promise<Clip> {
  const { height, width, stripFrames } = film;
  const start = windowStart(film.frames / film.fps, window, at);
  const wanted = Array.from({ length: window.frames }, (_, k) =>
    frameAt(film, start + (k + 0.5) / window.fps),
  );
  const decode = async (strip: number) => {
    const first = strip * stripFrames;
    const count = wanted.findLast((frame) => frame < first + stripFrames)! - first + 1;
    const bytes = await readStrip(strip);
    return [strip, await decodeRows(bytes, film, count, `${name}, strip ${strip}`)] as const;
  };
  const touched = new Set(wanted.map((frame) => Math.floor(frame / stripFrames)));
  const decoded = new Map(await Promise.all([...touched].map(decode)));
  const length = height * width * 3;
  const bytes = new Uint8Array(wanted.length * length); // only now: strips of this size are there
  for (const [k, frame] of wanted.entries()) {
    const from = (frame % stripFrames) * rowsOf(height) * width * 3;
    const rows = decoded.get(Math.floor(frame / stripFrames))!;
    bytes.set(rows.subarray(from, from + length), k * length);
  }
  return createClip(bytes, { frames: wanted.length, height, width });
}

const frameAt = ({ fps, frames }: Film, time: number): number =>
  Math.min(frames - 1, Math.max(0, Math.ceil(time * fps - 1e-3) - 1));

/** The first `count` frames of a strip; what lies below them is not decoded. */
async function decodeRows(
  strip: Uint8Array,
  { height, width }: Film,
  count: number,
  name: string,
): Promise<Uint8Array> {
  const rows = count * rowsOf(height);
  try {
    const { data, info } = await sharp(strip, { failOn: "warning" })
      .extract({ left: 0, top: 0, width, height: rows })
      .raw()
      .toBuffer({ resolveWithObject: true });
    if (info.channels === 3) return data;
    throw new Error(`it has ${info.channels} channels, not 3`);
  } catch (cause) {
    throw new MediaError(name, `cannot be read as frames: ${(cause as Error).message}`, { cause });
  }
}
