// One stored file to a clip, whatever it is: a picture, an animated WebP or GIF, or a video, of which a window is taken.
// Folders, lists and shards read through it.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { animationExtensions, readAnimation } from "../media/animation.js";
import type { Clip } from "../media/clip.js";
import { MediaError } from "../media/error.js";
import { type Film, readFilm } from "../media/film.js";
import { imageExtensions, readImage } from "../media/image.js";
import { readVideo } from "../media/video.js";
import {
  probeVideo,
  type VideoInfo,
  videoExtensions,
  type Window,
  windowStart,
} from "../media/video-info.js";
import { shortSideSize } from "./transform.js";

/** What is wanted of a file that holds more than a clip. */
export interface ClipRequest {
  /** Where the window lies: 0 is the first place in the video, 1 the last; the middle by default. */
  readonly at?: number;
  /** Larger frames may come smaller, with a short side of at least this: training crops and shrinks them anyway. */
  readonly shortSide?: number;
}

/** A path, or bytes with a name for errors. */
export type StoredFile =
  | { readonly path: string; readonly extension: string }
  | { readonly bytes: Uint8Array; readonly name: string; readonly extension: string };

/** Files of several frames, by extension. */
export const clipExtensions: readonly string[] = [...videoExtensions, ...animationExtensions];

/** What a set's files are read as: clips of `window`, or pictures where it has one frame or is absent. */
export function readableExtensions(window: Window | undefined): readonly string[] {
  return isMoving(window) ? clipExtensions : imageExtensions;
}

export const isMoving = (window: Window | undefined): window is Window =>
  window !== undefined && window.frames > 1;

const oneFrame: Window = { frames: 1, fps: 8 };

/** Reads files of one set. It remembers what it saw of each video, so that later epochs do not look again. */
export class ClipReader {
  readonly #infos = new Map<string, VideoInfo>();

  constructor(readonly window: Window | undefined) {}

  /** @throws MediaError naming the file, also for a still picture where clips are wanted */
  async read(file: StoredFile, request: ClipRequest = {}): Promise<Clip> {
    const { window } = this;
    const [input, name] = "path" in file ? [file.path, file.path] : [file.bytes, file.name];
    if (videoExtensions.includes(file.extension))
      return withPath(file, (path) => this.#readVideo(path, name, request));
    if (!isMoving(window)) return readImage(input, { name });
    if (animationExtensions.includes(file.extension))
      return readAnimation(input, { name, window, at: request.at });
    throw new MediaError(name, `is a picture, where clips of ${window.frames} frames are wanted.`);
  }

  /** A window of a film, whose strips `readStrip` gives by their numbers. @throws MediaError naming `name` */
  readFilm(
    film: Film,
    readStrip: (strip: number) => Promise<Uint8Array>,
    { name, at }: ClipRequest & { readonly name: string },
  ): Promise<Clip> {
    return readFilm(film, readStrip, { name, window: this.window ?? oneFrame, at });
  }

  async #readVideo(
    path: string,
    name: string,
    { at = 0.5, shortSide }: ClipRequest,
  ): Promise<Clip> {
    const info = this.#infos.get(name) ?? (await probeVideo(path));
    this.#infos.set(name, info);
    const { window = oneFrame } = this;
    const start = windowStart(info.durationS, window, at);
    const isLarger = shortSide !== undefined && Math.min(info.height, info.width) > shortSide;
    const size = isLarger ? shortSideSize(info, shortSide) : undefined;
    return readVideo(path, { ...window, start, info, size });
  }
}

/** Gives `use` a path for the file's bytes: ffmpeg needs a file to seek in. Errors name the file as it is called. */
export async function withPath<T>(file: StoredFile, use: (path: string) => Promise<T>): Promise<T> {
  if ("path" in file) return use(file.path);
  const folder = await mkdtemp(join(tmpdir(), "vitok-clip-"));
  const path = join(folder, `clip.${file.extension}`);
  try {
    await writeFile(path, file.bytes);
    return await use(path);
  } catch (error) {
    if (!(error instanceof MediaError)) throw error;
    const message = error.message.replace(`${path}: `, "");
    throw new MediaError(file.name, message, { cause: error });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}
