// A file that a command was given, picture or video, as frames to stream through a model; and the windows it goes through.

import { extname } from "node:path";
import { type MemoryPlan, planMemory } from "../codec/memory-plan.js";
import { haloOf, overlapOf, type Tiling, usualTiling } from "../codec/tiling.js";
import { ConfigError } from "../config-error.js";
import type { Clip } from "../media/clip.js";
import { readImage } from "../media/image.js";
import { streamVideo } from "../media/video.js";
import { framesAt, probeVideo, videoExtensions } from "../media/video-info.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { memory } from "../torch/index.js";
import type { LoadedAutoEncoder } from "./auto-encoder.js";
import type { Output } from "./output.js";

export interface WindowOptions {
  /** Of the sampling of videos; the file's own rate by default. */
  readonly fps?: number;
  /** Side of a tile, pixels. */
  readonly tile?: number;
  /** Frames of a chunk. */
  readonly chunk?: number;
  /** Bytes. */
  readonly memory?: number;
}

export const isVideo = (path: string): boolean =>
  videoExtensions.includes(extname(path).slice(1).toLowerCase());

export interface ClipInput {
  /** For a video, what its length promises. */
  readonly size: ClipSize;
  /** Absent for a picture. */
  readonly fps?: number;
  /** The codec of a video's sound, where it has any. */
  readonly sound?: string;
  frames(): AsyncGenerator<Clip, void>;
}

/** Looks at a file. @throws MediaError */
export async function openInput(path: string, { fps: asked }: WindowOptions): Promise<ClipInput> {
  if (!isVideo(path)) {
    const clip = await readImage(path);
    const { frames, height, width } = clip;
    const stream = async function* () {
      yield clip;
    };
    return { size: { frames, height, width }, frames: stream };
  }
  const info = await probeVideo(path);
  const fps = asked ?? info.fps;
  const { height, width, sound } = info;
  return {
    size: { frames: framesAt(info.durationS, fps), height, width },
    fps,
    ...(sound ? { sound } : {}),
    frames: () => streamVideo(path, { info, fps }),
  };
}

export type Windows = Tiling & Partial<Pick<MemoryPlan, "expectedBytes" | "budgetBytes">>;

/** The windows for an input: as asked for, planned for a budget of memory, or the usual ones. */
export function chooseWindows(
  { tokenizer, size, frames }: LoadedAutoEncoder,
  input: ClipSize,
  options: WindowOptions,
): Windows {
  const trained = { size, frames };
  const { patchSize: p, tubeletSize: q } = tokenizer.config;
  const planned: Windows =
    options.memory === undefined
      ? usualTiling(tokenizer.config, trained, input)
      : planMemory(tokenizer, input, { budgetBytes: options.memory, trained });
  const { tile = planned.tile * p, chunk = planned.chunk } = options;
  if (tile % p || chunk % q)
    throw new ConfigError(
      `Expected a multiple of ${p} pixels for --tile and of ${q} frames for --chunk, received ${tile} and ${chunk}.`,
    );
  return {
    ...planned,
    ...{ chunk, overlap: overlapOf(chunk, q), tile: tile / p, halo: haloOf(tile / p) },
  };
}

/** Bytes at the peak: of the process, or of the model's device. */
export function peakBytes({ tokenizer }: LoadedAutoEncoder): number {
  const { device } = tokenizer.placement;
  return device === "cpu" ? process.resourceUsage().maxRSS * 1024 : memory(device).peakBytes;
}

/** Tells the peak where a budget was given. */
export function reportPeak(model: LoadedAutoEncoder, options: WindowOptions, output: Output): void {
  if (options.memory === undefined) return;
  const mebibytes = (bytes: number) => `${Math.round(bytes / 2 ** 20)} MiB`;
  output.print(`Memory  peak ${mebibytes(peakBytes(model))} of ${mebibytes(options.memory)}`);
}
