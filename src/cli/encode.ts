// `vitok encode MODEL FILE... --out X.safetensors`: pictures to one file of latents. With --data: encode-set.ts.

import { extname } from "node:path";
import { encodeClip } from "../codec/encode.js";
import { writeLatents } from "../codec/latent-file.js";
import { ConfigError } from "../config-error.js";
import { readImage } from "../media/image.js";
import { loadAutoEncoder } from "./auto-encoder.js";
import { type EncodeSetCommandOptions, encodeData } from "./encode-set.js";
import { expandFiles, forEachFile } from "./files.js";
import { formatCount, openOutput } from "./output.js";

interface EncodeOptions extends Omit<EncodeSetCommandOptions, "data"> {
  readonly data?: string;
}

const usageError = 2;

export async function run(
  [target, paths = []]: readonly [string, string[]?],
  options: EncodeOptions,
): Promise<number> {
  const output = openOutput(options);
  const { out, data } = options;
  if ((data !== undefined) === paths.length > 0) {
    output.log("Expected either files or --data for encode. Give one of them.");
    return usageError;
  }
  if (data !== undefined) return encodeData(target, { ...options, data });
  if (extname(out) !== ".safetensors")
    throw new ConfigError(
      `Expected a .safetensors file for --out, received ${out}. Write for example --out latents.safetensors.`,
    );
  const inputs = await expandFiles(paths);
  const { tokenizer, id } = await loadAutoEncoder(target, options);
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
