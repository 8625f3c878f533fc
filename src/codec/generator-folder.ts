// A generator with the tokenizer whose latents it makes: loaded together, checked against each other, and saved together, so
// that one folder is all it takes to make pictures: config.json, model.safetensors, and the tokenizer's own folder inside.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { ConfigError } from "../config-error.js";
import { fileHash } from "../file-hash.js";
import { LatentGenerator } from "../generator/latent-generator.js";
import { type Placement, Tokenizer } from "../tokenizer/tokenizer.js";

export interface Pipeline {
  readonly generator: LatentGenerator;
  readonly tokenizer: Tokenizer;
}

/** Where a generator's folder keeps its tokenizer. */
export const tokenizerFolder = (folder: string): string => join(folder, "tokenizer");

/**
 * Loads both. `tokenizer` names another folder than the one inside. Dispose of both.
 * @throws ConfigError where the tokenizer is missing, or is not the one whose latents the generator makes
 */
export async function loadPipeline(
  folder: string,
  { tokenizer: given, ...placement }: Placement & { tokenizer?: string | undefined } = {},
): Promise<Pipeline> {
  const place = given ?? tokenizerFolder(folder);
  const generator = await LatentGenerator.load(folder, placement);
  try {
    const weights = join(place, "model.safetensors");
    if (!existsSync(weights))
      throw new ConfigError(
        `Expected the generator's tokenizer in ${place}, received a folder without model.safetensors. Name it with --tokenizer.`,
      );
    requireSameTokenizer(generator.facts.tokenizerHash, {
      folder: place,
      hash: await fileHash(weights),
    });
    return { generator, tokenizer: await Tokenizer.load(place, placement) };
  } catch (error) {
    generator.dispose();
    throw error;
  }
}

/** Writes a generator's folder with a copy of its tokenizer's. */
export function savePipeline(
  folder: string,
  generator: LatentGenerator,
  { tokenizer, extra }: { tokenizer: string; extra?: Record<string, unknown> },
): void {
  for (const name of ["model.safetensors", "config.json"])
    writeFileAtomic(join(tokenizerFolder(folder), name), readFileSync(join(tokenizer, name)));
  generator.save(folder, extra);
}

function requireSameTokenizer(
  wanted: string,
  { folder, hash }: { folder: string; hash: string },
): void {
  if (hash === wanted) return;
  throw new ConfigError(
    `Expected the tokenizer ${wanted}, whose latents the generator makes, in ${folder}, received ${hash}. Name the right one with --tokenizer.`,
  );
}
