// A video through the tokenizer and back in bounded memory, with a side-by-side video and scores of all frames.

import { join } from "node:path";
import { FlickerMeter } from "../codec/seams.js";
import { decodeStream, encodeStream } from "../codec/stream.js";
import { evaluationCrop } from "../data/transform.js";
import { scorePair, ssimLimitOf } from "../evaluate/pair.js";
import { differenceOf } from "../evaluate/report-pictures.js";
import { type Clip, joinFrames } from "../media/clip.js";
import { tile } from "../media/image.js";
import { openVideoWriter, type VideoWriter } from "../media/video-writer.js";
import type { LoadedAutoEncoder } from "./auto-encoder.js";
import { chooseWindows, openInput } from "./clip-input.js";
import { soundOf } from "./decode.js";
import type { InputFile } from "./files.js";
import type { ReconstructOptions } from "./reconstruct.js";

export interface Reconstructed {
  readonly file: string;
  readonly frames: number;
  readonly height: number;
  readonly width: number;
  readonly PSNR: number;
  readonly SSIM?: number;
  /** The jump of the error where windows meet over that elsewhere; absent where there was one window, or a window a frame. */
  readonly seams?: number;
  readonly fps?: number;
  readonly result: string;
  readonly comparison: string;
}

const gain = 4;

export async function reconstructVideo(
  { path, stem }: InputFile,
  { model, options }: { model: LoadedAutoEncoder; options: ReconstructOptions },
): Promise<Reconstructed> {
  const { tokenizer } = model;
  const { patchSize: p, tubeletSize: q } = tokenizer.config;
  const input = await openInput(path, options);
  const fps = input.fps!;
  const { size: side } = options;
  const size = side ? { ...input.size, height: side, width: side } : input.size;
  const tiling = chooseWindows(model, size, options);
  const waiting: Clip[] = []; // originals whose reconstruction is not there yet: a chunk at most
  const originals = async function* () {
    for await (const frame of input.frames()) {
      const original = side ? evaluationCrop(frame, side) : frame;
      waiting.push(original);
      yield original;
    }
  };
  const source = { tiling, source: path };
  const slabs = encodeStream(tokenizer, originals(), source);
  const grid = { h: Math.ceil(size.height / p), w: Math.ceil(size.width / p) };
  const recons = decodeStream(tokenizer, slabs, { ...source, grid, size, keep: options.keep });
  const result = join(options.out, `${stem}.mp4`);
  const comparison = join(options.out, `${stem}.compare.mp4`);
  const { height, width } = size;
  const sound = options.audio ? await soundOf(path) : undefined;
  const writers: VideoWriter[] = [];
  const scores = new MeanScores(ssimLimitOf(options.memory));
  const flicker = new FlickerMeter();
  try {
    writers.push(openVideoWriter(result, { height, width, fps, sound }));
    for await (const decoded of recons) {
      const original = joinFrames(waiting.splice(0, decoded.frames));
      const recon = firstFrames(decoded, original.frames);
      scores.add(original, recon);
      flicker.add(original, recon);
      const sheet = tile([original, recon, differenceOf(original, recon, gain)], 3);
      if (writers.length === 1) writers.push(openVideoWriter(comparison, { ...sheet, fps }));
      await writers[0]!.write(recon);
      await writers[1]!.write(sheet);
    }
    for (const writer of writers) await writer.close();
  } catch (error) {
    for (const writer of writers) await writer.abort();
    throw error;
  }
  const seams = flicker.ratio(tiling, q);
  return {
    ...{ file: path, frames: scores.frames, height, width, ...scores.mean(), fps },
    ...(scores.frames > tiling.chunk && Number.isFinite(seams) ? { seams } : {}),
    ...{ result, comparison },
  };
}

/** A file may hold fewer frames than its length promises. */
function firstFrames(clip: Clip, frames: number): Clip {
  const length = clip.height * clip.width * 3;
  return { ...clip, frames, bytes: clip.bytes.subarray(0, frames * length) };
}

/** Means over frames, of clips as they come. */
class MeanScores {
  frames = 0;
  readonly #sums: Record<string, number> = {};

  /** Larger frames have no SSIM. */
  constructor(private readonly pixelLimit: number) {}

  add(original: Clip, recon: Clip): void {
    for (const [name, value] of Object.entries(scorePair(original, recon, this.pixelLimit)))
      this.#sums[name] = (this.#sums[name] ?? 0) + value * recon.frames;
    this.frames += recon.frames;
  }

  mean(): { PSNR: number; SSIM?: number } {
    const means = Object.entries(this.#sums).map(([name, sum]) => [name, sum / this.frames]);
    return Object.assign({ PSNR: Number.NaN }, Object.fromEntries(means));
  }
}
