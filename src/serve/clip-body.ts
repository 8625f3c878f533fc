// The picture or clip of a request. Videos are decoded by ffmpeg from a private file that lives as long as that takes; it may
// open nothing else (media/ffmpeg.ts), and has as much time as the request. Animations and pictures are read from memory.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { Turns } from "../data/turns.js";
import { readAnimation } from "../media/animation.js";
import { type Clip, joinFrames, sameSize } from "../media/clip.js";
import { MediaError } from "../media/error.js";
import { hasFfmpeg } from "../media/ffmpeg.js";
import { readImage } from "../media/image.js";
import { streamVideo } from "../media/video.js";
import { framesAt, probeVideo, type VideoInfo } from "../media/video-info.js";
import { readFiles, requireSize, requireType, type SentFile } from "./body.js";
import { HttpError } from "./http-error.js";
import type { Limits } from "./limits.js";

/** Which part of a clip; all of it, at its own rate, by default. */
export interface ClipWish {
  readonly fps?: number | undefined;
  readonly frames?: number | undefined;
  readonly start?: number | undefined;
}

/** What a request brought; without a rate it is a picture. */
export interface SentClip {
  readonly clip: Clip;
  readonly fps: number | undefined;
}

/** The name of the body in errors. */
const name = "the body";
const allowed = /^((image|video)\/.+|multipart\/form-data|application\/octet-stream)$/;
/** Milliseconds that ffmpeg may be silent. */
const silenceMs = 10_000;

export class ClipReader {
  readonly #turns: Turns;

  constructor(private readonly limits: Limits) {
    this.#turns = new Turns(limits.decoders);
  }

  /** @throws HttpError for what the sender did wrong */
  async read(request: Request, wish: ClipWish): Promise<SentClip> {
    requireType(request, allowed, "a picture or a clip");
    const [file, ...more] = (await readFiles(request, this.limits)) as [SentFile, ...SentFile[]];
    try {
      if (more.length) return await this.#readFrames([file, ...more], wish);
      if (file.type.startsWith("video/"))
        return await this.#turns.run(() => this.#readVideo(file.bytes, wish));
      return await this.#readPicture(file, wish);
    } catch (error) {
      if (error instanceof HttpError) throw error;
      if (!(error instanceof MediaError || error instanceof RangeError)) throw error;
      if (!/pixel limit|above the limit|max pixel count/.test(error.message))
        throw new HttpError(422, error.message);
      const { pixels } = this.limits;
      throw new HttpError(413, `Expected at most ${pixels} pixels, received more. Shrink it.`);
    }
  }

  async #readPicture({ bytes }: SentFile, wish: ClipWish): Promise<SentClip> {
    const { pages = 1, delay = [], ...page } = await lookAt(bytes);
    if (pages === 1) {
      const clip = await readImage(bytes, { name, pixelLimit: this.limits.pixels });
      return { clip, fps: undefined };
    }
    const seconds = delay.reduce((sum, ms) => sum + Math.max(1, ms || 100), 0) / 1000;
    const window = this.#windowOf(wish, { durationS: seconds, fps: pages / seconds, ...page });
    const clip = await readAnimation(bytes, { name, window, at: window.at });
    return { clip, fps: window.fps };
  }

  /** Pictures of one size as the frames of a clip. */
  async #readFrames(files: readonly SentFile[], { fps = 8 }: ClipWish): Promise<SentClip> {
    const { limits } = this;
    const read = async ({ bytes }: SentFile) => {
      const clip = await readImage(bytes, { name, pixelLimit: limits.pixels });
      requireSize({ ...clip, frames: files.length }, limits);
      return clip;
    };
    const clips = [await read(files[0]!)];
    for (const file of files.slice(1)) clips.push(await read(file));
    sameSize(clips);
    return { clip: joinFrames(clips), fps };
  }

  async #readVideo(bytes: Uint8Array, wish: ClipWish): Promise<SentClip> {
    if (!hasFfmpeg())
      throw new HttpError(501, "Videos need ffmpeg on the server, which has none. Send a GIF.");
    const folder = await mkdtemp(join(tmpdir(), "vitok-clip-")); // of this user alone
    try {
      const path = join(folder, "clip");
      await writeFile(path, bytes, { mode: 0o600 });
      return await this.#decode(path, wish);
    } catch (error) {
      if (!(error instanceof MediaError)) throw error;
      throw new MediaError(name, error.message.slice(error.file.length + 2), { cause: error });
    } finally {
      await rm(folder, { recursive: true, force: true });
    }
  }

  async #decode(path: string, wish: ClipWish): Promise<SentClip> {
    const { pixels: pixelLimit, computeMs } = this.limits;
    const info = await probeVideo(path, { pixelLimit });
    const { frames, fps, start } = this.#windowOf(wish, info);
    const end = performance.now() + computeMs;
    // A coded frame may be larger than what is seen of it: whole blocks, whole cache lines.
    const coded = Math.max(4 * pixelLimit, 2 ** 16);
    const options = { info, fps, frames, start, pixelLimit: coded, timeoutMs: silenceMs };
    const read: Clip[] = [];
    for await (const frame of streamVideo(path, options)) {
      if (performance.now() > end)
        throw new HttpError(422, `Expected a clip that decodes within ${computeMs} ms.`);
      read.push(frame);
    }
    return { clip: joinFrames(read), fps };
  }

  /** The frames that are asked for. @throws HttpError where that is more than a request may have */
  #windowOf(
    { start = 0, ...wish }: ClipWish,
    { durationS, ...info }: Pick<VideoInfo, "durationS" | "fps" | "height" | "width">,
  ): { frames: number; fps: number; start: number; at: number } {
    const fps = wish.fps ?? info.fps;
    if (start >= durationS)
      throw new HttpError(422, `Expected a start before the end, ${durationS.toFixed(2)} s.`);
    const frames = wish.frames ?? framesAt(durationS - start, fps);
    requireSize({ frames, ...info }, this.limits);
    const spare = durationS - frames / fps;
    return { frames, fps, start, at: spare > 0 ? Math.min(1, start / spare) : 0 };
  }
}

/** Pages and size of a picture file, from its header. @throws MediaError where it is none */
async function lookAt(bytes: Uint8Array) {
  try {
    const { pages, delay, width, height, pageHeight = height } = await sharp(bytes).metadata();
    return { pages, delay, width, height: pageHeight };
  } catch (cause) {
    const reason = `cannot be read as a picture: ${(cause as Error).message}`;
    throw new MediaError(name, reason, { cause });
  }
}
