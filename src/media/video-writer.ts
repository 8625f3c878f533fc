// Clips to video files, frame by frame: H.264 in MP4, GIF, or a folder of PNG frames. A file appears when it is whole.
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync } from "node:fs";
import { dirname, extname, join } from "node:path";
import { type Clip, frameOf, type Size } from "./clip.js";
import { MediaError } from "./error.js";
import { inputArguments, openSink } from "./ffmpeg.js";
import { writeImage } from "./image.js";

export interface WriterOptions extends Size {
  /** Frames a second. */
  readonly fps: number;
  /** Sound that goes into the MP4: a file and the codec it has (`VideoInfo.sound`). One that MP4 cannot hold becomes AAC. */
  readonly sound?: { readonly file: string; readonly codec: string } | undefined;
  /** x264's constant rate factor: 0 loses only colour resolution, 18 is hard to tell from the original. */
  readonly crf?: number | undefined;
}

export interface VideoWriter {
  /** Adds all frames of a clip. @throws MediaError */
  write(clip: Clip): Promise<void>;
  /** Makes the file appear. @throws MediaError, and leaves nothing behind */
  close(): Promise<void>;
  /** Gives up and leaves nothing behind. */
  abort(): Promise<void>;
}

/** Whether `openVideoWriter` writes this file: .mp4, .gif, or no extension for a folder of frames. */
export const writableExtensions: readonly string[] = ["mp4", "gif", ""];

/**
 * Opens a video to be written at `path`: `.mp4` (H.264, 4:2:0, for every player: an odd side gets its last row or column
 * twice), `.gif`, or a path without extension, which becomes a folder of frames `0001.png` and on.
 * @throws RangeError for another extension, ConfigError where there is no ffmpeg
 */
export function openVideoWriter(path: string, options: WriterOptions): VideoWriter {
  const kind = extname(path).slice(1).toLowerCase();
  if (!writableExtensions.includes(kind))
    throw new RangeError(
      `Expected .mp4, .gif or a folder's name for a video, received ${path}. Name one of them.`,
    );
  if (options.sound && kind !== "mp4")
    throw new RangeError(`Expected an .mp4 for a video with sound, received ${path}.`);
  return kind === "" ? frameFolder(path, options) : ffmpegWriter(path, kind, options);
}

/** Writes a clip as a video file; see `openVideoWriter`. */
export async function writeVideo(
  path: string,
  clip: Clip,
  options: Omit<WriterOptions, keyof Size>,
): Promise<void> {
  const { height, width } = clip;
  const writer = openVideoWriter(path, { ...options, height, width });
  try {
    await writer.write(clip);
    await writer.close();
  } catch (error) {
    await writer.abort();
    throw error;
  }
}

function ffmpegWriter(path: string, kind: string, options: WriterOptions): VideoWriter {
  mkdirSync(dirname(path), { recursive: true });
  const draft = `${path}.${process.pid}.tmp`;
  const sink = openSink(path, writerArguments(draft, kind, options));
  const { height, width } = options;
  let frames = 0;
  return {
    async write(clip) {
      requireSize(clip, options);
      for (let index = 0; index < clip.frames; index++, frames++)
        await sink.write(frameOf(clip, index).bytes);
    },
    async close() {
      if (frames === 0) {
        await this.abort();
        throw new MediaError(path, `was to have frames of ${height} x ${width}, received none.`);
      }
      try {
        await sink.finish();
        renameSync(draft, path);
      } catch (error) {
        rmSync(draft, { force: true });
        throw error;
      }
    },
    async abort() {
      await sink.abort();
      rmSync(draft, { force: true });
    },
  };
}

function writerArguments(draft: string, kind: string, options: WriterOptions): string[] {
  const { height, width, fps, sound, crf = 18 } = options;
  const input = [
    ...["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", `${width}x${height}`, "-r", String(fps)],
    ...["-i", "pipe:0"],
  ];
  const place = ["-y", `file:${draft}`];
  if (kind === "gif") {
    const palette = "split[a][b];[a]palettegen=stats_mode=diff[p];[b][p]paletteuse";
    return [...input, "-filter_complex", palette, "-f", "gif", ...place];
  }
  const [right, bottom] = [width % 2, height % 2];
  const even = `pad=${width + right}:${height + bottom},fillborders=right=${right}:bottom=${bottom}:mode=smear,`;
  const matrix = "scale=flags=accurate_rnd+full_chroma_int:out_color_matrix=bt709:out_range=tv";
  return [
    ...input,
    ...(sound ? inputArguments(sound.file) : []),
    ...["-map", "0:v", ...(sound ? ["-map", "1:a:0", "-c:a", soundEncoder(sound.codec)] : [])],
    ...["-vf", `${right || bottom ? even : ""}${matrix},format=yuv420p`],
    ...["-c:v", "libx264", "-preset", "medium", "-crf", String(crf)],
    ...["-colorspace", "bt709", "-color_primaries", "bt709", "-color_trc", "bt709"],
    ...["-movflags", "+faststart", "-f", "mp4", ...place],
  ];
}

/** Sound is passed through where MP4 can hold it. */
function soundEncoder(codec: string): string {
  return ["aac", "mp3", "ac3", "eac3", "alac"].includes(codec) ? "copy" : "aac";
}

function frameFolder(path: string, options: WriterOptions): VideoWriter {
  const draft = `${path}.${process.pid}.tmp`;
  let frames = 0;
  return {
    async write(clip) {
      requireSize(clip, options);
      for (let index = 0; index < clip.frames; index++) {
        const name = `${String(++frames).padStart(4, "0")}.png`;
        await writeImage(join(draft, name), frameOf(clip, index));
      }
    },
    async close() {
      try {
        removeFrames(path); // of a run before
        renameSync(draft, path);
      } catch (cause) {
        throw new MediaError(path, `cannot be written: ${(cause as Error).message}`, { cause });
      }
    },
    async abort() {
      rmSync(draft, { recursive: true, force: true });
    },
  };
}

/** Removes a folder of frames; one that holds anything else stays, and is an error. */
function removeFrames(path: string): void {
  if (!existsSync(path)) return;
  const other = readdirSync(path).find((name) => !/^\d{4,}\.png$/.test(name));
  if (other !== undefined) throw new Error(`there is a folder that holds ${other}`);
  rmSync(path, { recursive: true });
}

function requireSize(clip: Clip, { height, width }: Size): void {
  if (clip.height === height && clip.width === width) return;
  throw new RangeError(
    `Expected frames of ${height} x ${width} for the video, received ${clip.height} x ${clip.width}.`,
  );
}
