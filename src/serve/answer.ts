// A picture or clip as the bytes of a file that a client asked for. MP4 and GIF are ffmpeg's, written in a private folder.
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { encodeAnimation } from "../media/animation.js";
import type { Clip } from "../media/clip.js";
import { hasFfmpeg } from "../media/ffmpeg.js";
import { encodeImage } from "../media/image.js";
import { writeVideo } from "../media/video-writer.js";
import { formats } from "./api.js";
import { HttpError } from "./http-error.js";

export type Format = keyof typeof formats;

export interface EncodedFile {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly type: string;
}

/** By default PNG for a picture, and for a clip MP4, or WebP where there is no ffmpeg. */
export function formatFor(frames: number, wanted: Format | undefined): Format {
  if (frames === 1) {
    if (wanted !== "mp4" && wanted !== "gif") return wanted ?? "png";
    throw new HttpError(
      422,
      `Expected png, webp or jpg for a picture's format, received ${wanted}.`,
    );
  }
  if (wanted === "png" || wanted === "jpg")
    throw new HttpError(422, `Expected mp4, gif or webp for a clip's format, received ${wanted}.`);
  if (hasFfmpeg()) return wanted ?? "mp4";
  if (wanted === undefined || wanted === "webp") return "webp";
  throw new HttpError(501, `The server has no ffmpeg to write ${wanted}. Ask for webp.`);
}

/** @throws HttpError for a format that does not suit */
export async function encodeFile(
  clip: Clip,
  { format: wanted, fps }: { format: Format | undefined; fps: number },
): Promise<EncodedFile> {
  const format = formatFor(clip.frames, wanted);
  return { bytes: new Uint8Array(await bytesOf(clip, format, fps)), type: formats[format] };
}

function bytesOf(clip: Clip, format: Format, fps: number): Promise<Uint8Array> {
  if (clip.frames === 1) return encodeImage(clip, format);
  if (format === "webp") return encodeAnimation(clip, { fps }); // without loss, as pictures
  return writeVideoBytes(clip, format, fps);
}

async function writeVideoBytes(clip: Clip, format: Format, fps: number): Promise<Uint8Array> {
  const folder = await mkdtemp(join(tmpdir(), "vitok-clip-"));
  try {
    const path = join(folder, `clip.${format}`);
    await writeVideo(path, clip, { fps });
    return await readFile(path);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
