// The latent file: one safetensors file with the posterior means of many pictures or clips, and what it takes to turn
// them back into pixels. Tensors `<i>.mean` [L, c]; metadata `<i>.source`, `<i>.grid`, `<i>.size`, `<i>.fps` (video).
import { ConfigError } from "../config-error.js";
import type { Grid } from "../nn/rope.js";
import {
  readSafetensors,
  readSafetensorsHeader,
  type SafetensorsHeader,
  safetensorsBytes,
} from "../nn/safetensors.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import type { Tensor } from "../torch/index.js";

/** One picture or clip as its code. */
export interface Latent {
  /** Posterior mean, float32 [L, c]. */
  readonly mean: Tensor;
  /** Where it came from, a file's path. */
  readonly source: string;
  /** Tokens over (time, row, column). */
  readonly grid: Grid;
  /** Pixels before padding. */
  readonly size: ClipSize;
  /** Frames a second; absent for a picture. */
  readonly fps?: number;
}

export interface LatentFile {
  readonly latents: readonly Latent[];
  /** Hash of the weights that encoded them, where the file tells. */
  readonly model: string | undefined;
}

/** Latents in their order, in memory. Grids and sizes are JSON lists: [t, h, w] and [frames, height, width]. */
export function latentBytes({ latents, model }: LatentFile): Uint8Array<ArrayBuffer> {
  const tensors = latents.map(({ mean }, i) => [`${i}.mean`, mean] as const);
  return safetensorsBytes(Object.fromEntries(tensors), latentMetadata(latents, model));
}

/** The file's metadata. */
export function latentMetadata(
  latents: readonly Omit<Latent, "mean">[],
  model: string | undefined,
): Record<string, string> {
  const metadata = latents.flatMap(({ source, grid: { t, h, w }, size, fps }, i) => [
    [`${i}.source`, source],
    [`${i}.grid`, JSON.stringify([t, h, w])],
    [`${i}.size`, JSON.stringify([size.frames, size.height, size.width])],
    ...(fps === undefined ? [] : [[`${i}.fps`, String(fps)]]),
  ]);
  if (model !== undefined) metadata.push(["model", model]);
  return Object.fromEntries(metadata);
}

/** Reads a latent file, by its path or from its bytes. @throws ConfigError naming the entry that is missing or malformed. */
export function readLatents(source: string | Uint8Array): LatentFile {
  const header = readSafetensorsHeader(source);
  const described = describeLatents(header, typeof source === "string" ? source : "the body");
  const tensors = readSafetensors(source, { names: described.map((_, i) => `${i}.mean`) });
  const latents = described.map((facts, i) => ({ ...facts, mean: tensors[`${i}.mean`]! }));
  return { latents, model: header.metadata.model };
}

/** What the header says of each latent. @throws ConfigError naming the entry that is missing or malformed */
export function describeLatents(
  { metadata, entries }: SafetensorsHeader,
  path: string,
): Omit<Latent, "mean">[] {
  const count = [...entries.keys()].filter((name) => /^\d+\.mean$/.test(name)).length;
  if (count === 0)
    throw new ConfigError(
      `Expected tensors 0.mean, 1.mean, ... in ${path}, received ${[...entries.keys()].slice(0, 4).join(", ") || "none"}. Make one: npx vitok encode MODEL FILE... --out ${path}`,
    );
  return Array.from({ length: count }, (_, i) => describe(metadata, i, path));
}

function describe(metadata: Record<string, string>, i: number, path: string): Omit<Latent, "mean"> {
  const [t, h, w] = triple(metadata[`${i}.grid`], `${i}.grid in ${path}`);
  const [frames, height, width] = triple(metadata[`${i}.size`], `${i}.size in ${path}`);
  const fps = Number(metadata[`${i}.fps`]);
  return {
    source: metadata[`${i}.source`] ?? String(i),
    grid: { t, h, w },
    size: { frames, height, width },
    ...(fps > 0 ? { fps } : {}),
  };
}

/** Three whole numbers above 0, as a JSON list. */
function triple(text: string | undefined, name: string): [number, number, number] {
  const numbers = /^\[\s*(\d+)\s*,\s*(\d+)\s*,\s*(\d+)\s*\]$/.exec(text ?? "");
  const values = numbers?.slice(1).map(Number) ?? [];
  if (values.length === 3 && values.every((value) => value > 0))
    return values as [number, number, number];
  throw new ConfigError(
    `Expected a list of three whole numbers above 0 for ${name}, received ${text ?? "none"}. Encode the files again.`,
  );
}
