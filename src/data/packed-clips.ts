// Videos decoded once, at a fixed size and rate: each becomes an animated WebP, which reads without ffmpeg and many times
// faster. `vitok pack` puts them into shards (shards/pack.ts).
import { extname } from "node:path";
import { encodeAnimation } from "../media/animation.js";
import { readVideo } from "../media/video.js";
import { framesAt, probeVideo, windowStart } from "../media/video-info.js";
import { withPath } from "./clip-file.js";
import type { Source, SourceFile } from "./source.js";
import { shortSideSize } from "./transform.js";

export interface PackClipsOptions {
  /** Short side of the frames, pixels. */
  readonly size: number;
  readonly fps: number;
  /** Of a longer video the middle so many seconds are kept. */
  readonly seconds: number;
  /** Of WebP, 1 to 100. */
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
    async file(index) {
      const { bytes, extension } = await storedFile(source, index);
      const stored = { bytes, extension, name: source.id(index) };
      return {
        bytes: await withPath(stored, (path) => packClip(path, options)),
        extension: "webp",
      };
    },
  };
}

async function storedFile(source: Source, index: number): Promise<SourceFile> {
  if (source.file) return source.file(index);
  const id = source.id(index);
  throw new TypeError(`Expected files to pack, received ${id} (${extname(id) || "drawn"}).`);
}

async function packClip(path: string, options: PackClipsOptions): Promise<Uint8Array> {
  const { size: side, fps, seconds, quality } = options;
  const info = await probeVideo(path);
  const frames = framesAt(Math.min(info.durationS, seconds), fps);
  const size = Math.min(info.height, info.width) > side ? shortSideSize(info, side) : undefined;
  const start = windowStart(info.durationS, { frames, fps }, 0.5);
  return encodeAnimation(await readVideo(path, { info, fps, frames, size, start }), {
    fps,
    quality,
  });
}
