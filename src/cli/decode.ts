// `vitok decode MODEL X.safetensors --out DIR`: a file of latents back to pictures, at the sizes they had.

import { mkdir } from "node:fs/promises";
import { basename, join } from "node:path";
import { decodeLatent } from "../codec/decode.js";
import { readLatents } from "../codec/latent-file.js";
import { type Clip, frameOf } from "../media/clip.js";
import { writeImage } from "../media/image.js";
import { loadAutoEncoder } from "./auto-encoder.js";
import { uniqueStems } from "./files.js";
import type { PlacementOptions } from "./model.js";
import { openOutput } from "./output.js";
import { openProgress } from "./progress.js";

interface DecodeOptions extends PlacementOptions {
  readonly out: string;
  readonly keep?: number;
  readonly json?: boolean;
}

export async function run(
  [target, path]: readonly [string, string],
  options: DecodeOptions,
): Promise<void> {
  const output = openOutput(options);
  const { latents, model } = readLatents(path);
  const { tokenizer, id } = await loadAutoEncoder(target, options);
  if (model !== undefined && model !== id.weightsHash)
    output.log(`${path} was encoded with other weights (${model}) than ${target} has.`);
  const stems = uniqueStems(latents.map(({ source }) => basename(source)));
  const progress = openProgress("decode", { total: latents.length });
  await mkdir(options.out, { recursive: true });
  const files = [];
  for (const [i, latent] of latents.entries()) {
    const clip = decodeLatent(tokenizer, latent, options);
    const result = await writeClip(join(options.out, stems[i]!), clip);
    files.push({ source: latent.source, result, size: latent.size });
    progress.update(i + 1);
  }
  progress.stop();
  tokenizer.dispose();
  for (const { mean } of latents) mean.dispose();
  output.print(`${files.length} decoded into ${options.out}.`);
  output.result({ files });
}

/** A picture as `<stem>.png`; of a video every frame, `<stem>/0001.png` and on. Returns the file or the folder. */
async function writeClip(stem: string, clip: Clip): Promise<string> {
  if (clip.frames === 1) {
    await writeImage(`${stem}.png`, clip);
    return `${stem}.png`;
  }
  await mkdir(stem, { recursive: true });
  for (let index = 0; index < clip.frames; index++) {
    const name = `${String(index + 1).padStart(4, "0")}.png`;
    await writeImage(join(stem, name), frameOf(clip, index));
  }
  return stem;
}
