// `vitok reconstruct MODEL FILE... --out DIR`: pictures through the tokenizer and back, each beside its original.

import { mkdir } from "node:fs/promises";
import { dirname, join } from "node:path";
import { decodeLatent } from "../codec/decode.js";
import { encodeClip } from "../codec/encode.js";
import { evaluationCrop } from "../data/transform.js";
import { scorePair } from "../evaluate/pair.js";
import { differenceOf } from "../evaluate/report-pictures.js";
import type { Clip } from "../media/clip.js";
import { readImage, tile, writeImage } from "../media/image.js";
import { scope } from "../torch/index.js";
import { loadAutoEncoder } from "./auto-encoder.js";
import { expandFiles, forEachFile, type InputFile } from "./files.js";
import type { PlacementOptions } from "./model.js";
import { openOutput, table } from "./output.js";

interface ReconstructOptions extends PlacementOptions {
  readonly out: string;
  /** Side of a centre crop; absent: the picture as it is. */
  readonly size?: number;
  readonly keep?: number;
  readonly json?: boolean;
}

/** The difference is magnified by this much around mid-grey. */
const gain = 4;

export async function run(
  [target, paths]: readonly [string, string[]],
  options: ReconstructOptions,
): Promise<number> {
  const output = openOutput(options);
  const inputs = await expandFiles(paths);
  const { tokenizer } = await loadAutoEncoder(target, options);
  const reconstruct = (clip: Clip, source: string): Clip =>
    scope(() => decodeLatent(tokenizer, { ...encodeClip(tokenizer, clip), source }, options));

  const work = async ({ path, stem }: InputFile) => {
    const whole = await readImage(path);
    const original = options.size ? evaluationCrop(whole, options.size) : whole;
    const recon = reconstruct(original, path);
    const result = join(options.out, `${stem}.png`);
    const comparison = join(options.out, `${stem}.compare.png`);
    await mkdir(dirname(result), { recursive: true });
    await writeImage(result, recon);
    await writeImage(comparison, tile([original, recon, differenceOf(original, recon, gain)], 3));
    const { height, width } = original;
    return { file: path, height, width, ...scorePair(original, recon), result, comparison };
  };
  const { done, failed } = await forEachFile("reconstruct", inputs, { output, work });
  tokenizer.dispose();

  const rows = done.map(({ file, height, width, PSNR, SSIM }) => ({
    ...{ file, size: `${height} x ${width}`, PSNR: PSNR.toFixed(2), SSIM: SSIM?.toFixed(4) },
  }));
  if (rows.length) output.print(table(rows));
  output.print(
    `\n${done.length} of ${inputs.length} reconstructed into ${options.out}: NAME.png, and NAME.compare.png ` +
      `with original | reconstruction | difference x ${gain}.`,
  );
  output.result({ files: done, failed });
  return failed.length ? 1 : 0;
}
