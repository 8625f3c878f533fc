// The passport of a score: what was measured on which set, and how. Two scores compare where their passports agree.
// Spec section 5, protocol `standard`.
import { createHash } from "node:crypto";
import { createReadStream, statSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import type { Source } from "../data/source.js";
import type { TrunkName } from "../perceptual/lpips.js";
import { findWeights, type WeightName } from "../perceptual/weights.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { torchVersion } from "../torch/index.js";
import { version } from "../version.js";

/** Which weights were judged; the hash is that of model.safetensors, null for a model that no file holds. */
export type WeightsId = {
  readonly weights: "raw" | "ema";
  readonly weightsHash: string | null;
};

/** Flat, so that it prints as a table. Hashes are the first 16 hex digits of a SHA-256. */
export type Protocol = WeightsId & {
  readonly name: "standard";
  readonly set: string;
  /** Of the names in their order, one a line. */
  readonly setHash: string;
  /** Files scored. */
  readonly count: number;
  /** Height and width of the crop, pixels. */
  readonly size: number;
  readonly crop: string;
  readonly resize: string;
  readonly rounding: string;
  readonly latent: string;
  /** Masked models: leading tokens that were decoded; null is all of them. */
  readonly keep: number | null;
  /** Trunk and the hashes of its file and its heads; null where LPIPS was not asked for. */
  readonly lpips: string | null;
  readonly dtype: string;
  readonly device: string;
  readonly vitok: string;
  readonly libtorch: string;
};

export interface ProtocolFacts {
  readonly count: number;
  readonly size: number;
  readonly keep: number | undefined;
  readonly lpipsTrunk: TrunkName | undefined;
  readonly model: WeightsId;
}

export async function standardProtocol(
  tokenizer: Tokenizer,
  source: Source,
  facts: ProtocolFacts,
): Promise<Protocol> {
  const { count, size, keep, lpipsTrunk, model } = facts;
  const { dtype, device } = tokenizer.encoder.norm.weight;
  return {
    name: "standard",
    set: source.name,
    setHash: listHash(source),
    count,
    size,
    crop: "short side, then centre",
    resize: "bicubic, antialiased",
    rounding: "nearest uint8",
    latent: "mean",
    keep: keep ?? null,
    weights: model.weights,
    weightsHash: model.weightsHash,
    lpips: lpipsTrunk ? await describeLpips(lpipsTrunk) : null,
    dtype,
    device,
    vitok: version,
    libtorch: torchVersion(),
  };
}

/** Of the names of a set's files in their order, one a line. */
function listHash(source: Source): string {
  const hash = createHash("sha256");
  for (let index = 0; index < source.length; index++) hash.update(`${source.id(index)}\n`);
  return shortened(hash.digest("hex"));
}

const lpipsFiles: Record<TrunkName, readonly [trunk: WeightName, heads: WeightName]> = {
  vgg: ["vgg16", "lpips-vgg"],
  alex: ["alexnet", "lpips-alex"],
  squeeze: ["squeezenet", "lpips-squeeze"],
};

async function describeLpips(trunk: TrunkName): Promise<string> {
  const hashes = await Promise.all(lpipsFiles[trunk].map((name) => fileHash(findWeights(name))));
  return `${trunk} ${hashes.join(" ")}`;
}

const knownHashes = new Map<string, Promise<string>>();

/** A file's SHA-256, 16 hex digits; computed once for each state of the file. */
export function fileHash(path: string): Promise<string> {
  const { size, mtimeMs } = statSync(path);
  const key = `${path} ${size} ${mtimeMs}`;
  const hash = knownHashes.get(key) ?? hashOf(path);
  knownHashes.set(key, hash);
  return hash;
}

async function hashOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return shortened(hash.digest("hex"));
}

const shortened = (hex: string) => hex.slice(0, 16);
