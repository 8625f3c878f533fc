// Video files to clips, by ffmpeg: any rate, size and window, whole or as a stream. Frame k of a window that starts at s
// is what is on the screen in the middle of its share of time, s + (k + 1/2) / fps: one rule for constant and variable
// rates, up and down. No pictures here (image.ts), and writing is video-writer.ts.
import { type Clip, createClip, joinFrames, type Size } from "./clip.js";
import { MediaError } from "./error.js";
import { inputArguments, readPieces, reasonIn } from "./ffmpeg.js";
import { framePixelLimit, framesAt, probeVideo, type VideoInfo } from "./video-info.js";

export interface VideoOptions {
  /** Frames a second; the file's own mean rate by default. */
  readonly fps?: number | undefined;
  /** Every frame is resized to it (bicubic); as it is to be seen by default. */
  readonly size?: Size | undefined;
  /** Seconds from the beginning. */
  readonly start?: number | undefined;
  /** So many frames: of a video that ends before, the last one is repeated. All to the end by default. */
  readonly frames?: number | undefined;
  /** What is known of the file, to save a look at it. */
  readonly info?: VideoInfo | undefined;
  /** Frames with more pixels are refused before they are decoded; `framePixelLimit` by default. */
  readonly pixelLimit?: number | undefined;
  /** ffmpeg is killed when it gives nothing for so long. */
  readonly timeoutMs?: number | undefined;
}

/** The bytes that `readVideo` puts into memory at most. */
const clipLimit = 2 ** 31;

/**
 * A window of a video, or all of it, as one clip.
 * @throws MediaError naming the file: missing, empty, cut short, corrupt, without pictures, too large, or hanging
 */
export async function readVideo(file: string, options: VideoOptions = {}): Promise<Clip> {
  const plan = await planOf(file, options);
  const { frames, size } = plan;
  const bytes = frames * size.height * size.width * 3;
  if (bytes > clipLimit)
    throw new MediaError(
      file,
      `would be ${frames} frames of ${size.height} x ${size.width} in memory, above the limit of ${clipLimit} bytes. ` +
        "Read a window of it, or stream it.",
    );
  const read: Clip[] = [];
  for await (const frame of framesOf(file, plan, options)) read.push(frame);
  return joinFrames(read);
}

/** The frames of a video one by one, so that a file of any length takes the memory of one. Errors as `readVideo`. */
export async function* streamVideo(
  file: string,
  options: VideoOptions = {},
): AsyncGenerator<Clip, void> {
  yield* framesOf(file, await planOf(file, options), options);
}

interface Plan {
  readonly info: VideoInfo;
  readonly fps: number;
  readonly size: Size;
  readonly start: number;
  /** Frames to give, and whether that is what was asked for. */
  readonly frames: number;
  readonly isAsked: boolean;
  /** Frames that the file has from the start on, at this rate. */
  readonly expected: number;
}

async function planOf(file: string, options: VideoOptions): Promise<Plan> {
  const { pixelLimit, start = 0 } = options;
  if (!(start >= 0)) throw new RangeError(`Expected seconds from 0 for start, received ${start}.`);
  for (const [name, value] of Object.entries({ fps: options.fps, frames: options.frames }))
    if (value !== undefined && !(value > 0 && Number.isFinite(value)))
      throw new RangeError(`Expected a number above 0 for ${name}, received ${value}.`);
  const info = options.info ?? (await probeVideo(file, { pixelLimit }));
  if (start >= info.durationS)
    throw new MediaError(
      file,
      `ends at ${info.durationS.toFixed(2)} s, before the start ${start} s.`,
    );
  const { fps = info.fps, size = { height: info.height, width: info.width } } = options;
  const expected = framesAt(info.durationS - start, fps);
  const isAsked = options.frames !== undefined;
  return { info, fps, size, start, frames: options.frames ?? expected, isAsked, expected };
}

/** Decodes from a point shortly before the window; where that fails, from the beginning, whose failure is the file's. */
async function* framesOf(
  file: string,
  plan: Plan,
  options: VideoOptions,
): AsyncGenerator<Clip, void> {
  const isSought = plan.start > seekMargin;
  let given = 0;
  try {
    for await (const frame of decode(file, plan, { ...options, isSought })) {
      given++;
      yield frame;
    }
  } catch (error) {
    if (!isSought || given > 0 || !(error instanceof MediaError)) throw error;
    yield* decode(file, plan, { ...options, isSought: false });
  }
}

/** Seconds that are decoded before a window, for the frame that is on the screen when it starts. */
const seekMargin = 1;

async function* decode(
  file: string,
  plan: Plan,
  options: VideoOptions & { readonly isSought: boolean },
): AsyncGenerator<Clip, void> {
  const { frames } = plan;
  const { height, width } = plan.size;
  const pieces = readPieces(file, argumentsOf(file, plan, options), {
    length: height * width * 3,
    timeoutMs: options.timeoutMs,
  });
  let given = 0;
  let last: Clip | undefined;
  let complaint = "";
  try {
    for (;;) {
      const next = await pieces.next();
      if (next.done) {
        complaint = next.value;
        break;
      }
      last = createClip(next.value, { height, width });
      given++;
      yield last;
    }
  } finally {
    await pieces.return("");
  }
  const isFull = requireWhole(file, plan, { given, complaint });
  for (; last && given < frames && (isFull || plan.isAsked); given++) yield last;
}

/**
 * Whether there are the frames that the file's length promises, give or take the rounding of its end.
 * @throws MediaError where there are fewer: it is cut short
 */
function requireWhole(
  file: string,
  { frames, expected, fps, start, info }: Plan,
  { given, complaint }: { given: number; complaint: string },
): boolean {
  const isFull = Math.min(frames, expected) - given <= Math.max(1, 0.1 * fps);
  const isSoundLonger = !info.isDurationOwn && complaint === "";
  if (given > 0 && (isFull || isSoundLonger)) return isFull;
  const reason = complaint ? `: ${reasonIn(complaint)}` : "";
  throw new MediaError(
    file,
    `is cut short or damaged: its frames end at ${(start + given / fps).toFixed(2)} of ${info.durationS.toFixed(2)} s${reason}.`,
  );
}

function argumentsOf(
  file: string,
  plan: Plan,
  { isSought, pixelLimit = framePixelLimit }: VideoOptions & { readonly isSought: boolean },
): string[] {
  const { info, fps, size, start, frames } = plan;
  const from = isSought ? start - seekMargin : 0; // of ffmpeg's clock
  const shift = start - from;
  const filters = [
    ...(shift > 0 ? ["settb=AVTB", `setpts=round(PTS-${shift}/TB)`] : []), // a file's own clock may be coarse
    `fps=${fps}:start_time=0`, // holds what is on the screen before the window, too
    `scale=${size.width}:${size.height}:flags=bicubic+accurate_rnd+full_chroma_int:in_color_matrix=${info.colourMatrix}`,
    "format=rgb24",
  ];
  return [
    "-xerror", // a frame that could not be decoded whole is an error, not a smear
    ...(isSought ? ["-ss", from.toFixed(6)] : []),
    ...["-max_pixels", String(pixelLimit)],
    ...inputArguments(file),
    ...["-map", `0:${info.stream}`, "-vf", filters.join(","), "-frames:v", String(frames)],
    ...["-f", "rawvideo", "-pix_fmt", "rgb24", "pipe:1"],
  ];
}
