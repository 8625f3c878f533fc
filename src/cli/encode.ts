// `vitok encode MODEL FILE... --out X.safetensors`: pictures to one file of latents.

import { extname } from "node:path";
import { encodeClip } from "../codec/encode.js";
import { writeLatents } from "../codec/latent-file.js";
import { ConfigError } from "../config-error.js";
import { readImage } from "../media/image.js";
import { expandFiles, forEachFile } from "./files.js";
import { loadModel, type PlacementOptions } from "./model.js";
import { formatCount, openOutput } from "./output.js";

interface EncodeOptions extends PlacementOptions {
  readonly out: string;
  readonly json?: boolean;
}

export async function run(
  [target, paths]: readonly [string, string[]],
  options: EncodeOptions,
): Promise<number> {
  const output = openOutput(options);
  const { out } = options;
  if (extname(out) !== ".safetensors")
    throw new ConfigError(
      `Expected a .safetensors file for --out, received ${out}. Write for example --out latents.safetensors.`,
    );
  const inputs = await expandFiles(paths);
  const { tokenizer, id } = await loadModel(target, options);
  const { done: latents, failed } = await forEachFile("encode", inputs, {
    output,
    work: async ({ path }) => ({
      ...encodeClip(tokenizer, await readImage(path)),
      source: path,
    }),
  });
  tokenizer.dispose();
  if (latents.length) writeLatents(out, { latents, model: id.weightsHash ?? undefined });

  const files = latents.map(({ source, grid, size, mean }) => ({
    ...{ source, grid, size, shape: mean.shape },
    compressionRatio: (3 * size.frames * size.height * size.width) / mean.numel,
  }));
  const numbers = latents.reduce((sum, { mean }) => sum + mean.numel, 0);
  output.print(
    latents.length
      ? `${latents.length} of ${inputs.length} encoded into ${out}: ${formatCount(numbers)} numbers.\n` +
          `Back into pictures: npx vitok decode ${target} ${out} --out DIR`
      : `None of ${inputs.length} could be encoded; ${out} was not written.`,
  );
  output.result({ out: latents.length ? out : null, files, failed });
  for (const { mean } of latents) mean.dispose();
  return failed.length ? 1 : 0;
}
