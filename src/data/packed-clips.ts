// Videos decoded once, at a fixed size and rate: each becomes a film (media/film.ts), which reads without ffmpeg and many
// times faster. `vitok pack` puts them into shards (shards/pack.ts).
import { extname } from "node:path";
import { ConfigError } from "../config-error.js";
import { encodeFilm } from "../media/film.js";
import { readVideo } from "../media/video.js";
import { framesAt, probeVideo, windowStart } from "../media/video-info.js";
import { withPath } from "./clip-file.js";
import { stripExtension } from "./shards/samples.js";
import type { Source, SourceFile } from "./source.js";
import { shortSideSize } from "./transform.js";

export interface PackClipsOptions {
  /** Short side of the frames, pixels. */
  readonly size: number;
  readonly fps: number;
  /** Of a longer video the middle so many seconds are kept. */
  readonly seconds: number;
  /** Of JPEG, 1 to 100. */
  readonly quality: number;
}

/** The same set, with the files of its clips decoded, shrunk and encoded anew. Videos are not enlarged. */
export function packedClips(source: Source, options: PackClipsOptions): Source {
  const { name, length, classes } = source;
  return {
    ...{ name, length, classes, load: (index, request) => source.load(index, request) },
    id: (index) => source.id(index),
    label: (index) => source.label(index),
    ...(source.list ? { list: () => source.list!() } : {}),
    async files(index) {
      const { bytes, extension } = await storedFile(source, index);
      const stored = { bytes, extension, name: source.id(index) };
      return withPath(stored, (path) => packClip(path, options));
    },
  };
}

async function storedFile(source: Source, index: number): Promise<SourceFile> {
  const id = source.id(index);
  if (!source.files)
    throw new TypeError(`Expected files to pack, received ${id} (${extname(id) || "drawn"}).`);
  const [file, ...more] = await source.files(index);
  if (file && more.length === 0) return file;
  throw new ConfigError(
    `Expected videos to pack, received ${id}, which is packed already. Leave --fps out, or pack the videos again.`,
  );
}

async function packClip(path: string, options: PackClipsOptions): Promise<SourceFile[]> {
  const { size: side, fps, seconds, quality } = options;
  const info = await probeVideo(path);
  const frames = framesAt(Math.min(info.durationS, seconds), fps);
  const size = Math.min(info.height, info.width) > side ? shortSideSize(info, side) : undefined;
  const start = windowStart(info.durationS, { frames, fps }, 0.5);
  const clip = await readVideo(path, { info, fps, frames, size, start });
  const { film, strips } = await encodeFilm(clip, { fps, quality });
  return [
    ...strips.map((bytes, strip) => ({ bytes, extension: stripExtension(strip) })),
    { bytes: Buffer.from(JSON.stringify(film)), extension: "json" },
  ];
}
