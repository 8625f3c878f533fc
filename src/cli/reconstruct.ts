// `vitok reconstruct MODEL FILE... --out DIR`: pictures and videos through the tokenizer and back, each beside its original.
// Videos are reconstruct-video.ts.

import { mkdir } from "node:fs/promises";
import { dirname, join, resolve } from "node:path";
import { tileSeams } from "../codec/seams.js";
import { decodeTiled, encodeTiled } from "../codec/tiles.js";
import { ConfigError } from "../config-error.js";
import { evaluationCrop } from "../data/transform.js";
import { scorePair, ssimLimitOf } from "../evaluate/pair.js";
import { differenceOf } from "../evaluate/report-pictures.js";
import type { Clip } from "../media/clip.js";
import { readImage, tile, writeImage } from "../media/image.js";
import { resample } from "../media/resample.js";
import { type LoadedAutoEncoder, loadAutoEncoder } from "./auto-encoder.js";
import { chooseWindows, isVideo, peakBytes, reportPeak, type WindowOptions } from "./clip-input.js";
import { expandFiles, forEachFile, type InputFile } from "./files.js";
import type { PlacementOptions } from "./model.js";
import { openOutput, table } from "./output.js";
import { type Reconstructed, reconstructVideo } from "./reconstruct-video.js";

export interface ReconstructOptions extends PlacementOptions, WindowOptions {
  readonly out: string;
  /** Side of a centre crop; absent: the picture as it is. */
  readonly size?: number;
  readonly keep?: number;
  readonly audio?: boolean;
  readonly json?: boolean;
}

/** The difference is magnified by this much around mid-grey. */
const gain = 4;

/** Larger pictures are compared at this long side, pixels. */
const previewSide = 2048;

export async function run(
  [target, paths]: readonly [string, string[]],
  options: ReconstructOptions,
): Promise<number> {
  const output = openOutput(options);
  const inputs = await expandFiles(paths);
  refuseOverwriting(inputs, options.out);
  const model = await loadAutoEncoder(target, options);
  const work = async (file: InputFile): Promise<Reconstructed> => {
    await mkdir(dirname(join(options.out, file.stem)), { recursive: true });
    const job = { model, options };
    return isVideo(file.path) ? reconstructVideo(file, job) : reconstructPicture(file, job);
  };
  const { done, failed } = await forEachFile("reconstruct", inputs, { output, work });

  const rows = done.map(({ file, frames, height, width, PSNR, SSIM, seams }) => ({
    ...{ file, size: `${frames > 1 ? `${frames} x ` : ""}${height} x ${width}` },
    ...{ PSNR: PSNR.toFixed(2), SSIM: SSIM?.toFixed(4) },
    ...(done.some((other) => other.seams !== undefined) ? { seams: seams?.toFixed(2) } : {}),
  }));
  if (rows.length) output.print(table(rows));
  output.print(
    `\n${done.length} of ${inputs.length} reconstructed into ${options.out}: NAME.png or .mp4, and NAME.compare.png or .mp4 ` +
      `with original | reconstruction | difference x ${gain}.`,
  );
  reportPeak(model, options, output);
  output.result({ files: done, failed, peakBytes: peakBytes(model) });
  model.tokenizer.dispose();
  return failed.length ? 1 : 0;
}

/** No picture is replaced by its own reconstruction. @throws ConfigError that names the first */
function refuseOverwriting(inputs: readonly InputFile[], out: string): void {
  const isResult = ({ path, stem }: InputFile) =>
    [".png", ".mp4"].some((ending) => resolve(out, stem + ending) === resolve(path));
  const lost = inputs.find(isResult);
  if (lost)
    throw new ConfigError(
      `Expected another folder than that of ${lost.path} for --out, received ${out}: the file would be overwritten.`,
    );
}

/** As it is, or shrunk to what can be looked at beside another. */
function preview(clip: Clip): Clip {
  const longest = Math.max(clip.height, clip.width);
  if (longest <= previewSide) return clip;
  const shrunk = (length: number) => Math.max(1, Math.round((length * previewSide) / longest));
  return resample(clip, { height: shrunk(clip.height), width: shrunk(clip.width) });
}

async function reconstructPicture(
  { path, stem }: InputFile,
  { model, options }: { model: LoadedAutoEncoder; options: ReconstructOptions },
): Promise<Reconstructed> {
  const { tokenizer } = model;
  const whole = await readImage(path);
  const original = options.size ? evaluationCrop(whole, options.size) : whole;
  const { height, width } = original;
  const tiling = chooseWindows(model, { frames: 1, height, width }, options);
  const field = encodeTiled(tokenizer, original, { tiling, source: path });
  const recon = decodeTiled(tokenizer, field, { tiling, source: path, keep: options.keep });
  const result = join(options.out, `${stem}.png`);
  await writeImage(result, recon);
  const comparison = join(options.out, `${stem}.compare.png`);
  const [before, after] = [original, recon].map(preview) as [Clip, Clip];
  await writeImage(comparison, tile([before, after, differenceOf(before, after, gain)], 3));
  const p = tokenizer.config.patchSize;
  const isTiled = tiling.tile * p < Math.max(height, width);
  return {
    ...{
      file: path,
      frames: 1,
      height,
      width,
      ...scorePair(original, recon, ssimLimitOf(options.memory)),
      result,
      comparison,
    },
    ...(isTiled ? { seams: tileSeams(original, recon, p, tiling) } : {}),
  };
}
