// Scores of a generator: its samples, classes uniform, against a set of pictures or that set's saved statistics. What is
// computed of two sets is picture-sets.ts; sampling is codec/. Spec sections 5 and 6.
import { existsSync } from "node:fs";
import type { GenerateOptions } from "../codec/generate.js";
import { generatedSource } from "../codec/generated-source.js";
import type { Pipeline } from "../codec/generator-folder.js";
import type { Source } from "../data/source.js";
import { evaluationCrop } from "../data/transform.js";
import { ditName } from "../generator/config.js";
import { type PictureSetOptions, scorePictureSets } from "./picture-sets.js";
import type { Protocol } from "./protocol.js";
import type { PictureSet } from "./set-side.js";

export interface GenerationOptions
  extends Omit<PictureSetOptions, "saveStats" | "onProgress" | "device">,
    Omit<GenerateOptions, "onStep"> {
  /** Samples. The papers' is 50,000. */
  readonly count: number;
  /** Where the real set's statistics for fid are kept (.npz): made and written the first time, then read. */
  readonly realStats?: string | undefined;
  /** Hash of the generator's file, where there is one. */
  readonly weightsHash?: string | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** How the samples came about: what must agree for two scores to be compared, beside the metrics' protocol. */
export interface SamplingProtocol {
  readonly generator: string;
  readonly sampler: string;
  readonly steps: number;
  readonly guidance: number;
  readonly guidanceInterval: readonly [number, number];
  readonly guidanceRescale: number;
  readonly seed: number;
}

export interface GenerationScores {
  /** By the papers' names: gFID, gIS, and gFID-768 for another tap than theirs. */
  readonly metrics: Readonly<Record<string, number>>;
  readonly deviations: Readonly<Record<string, number>>;
  readonly warnings: readonly string[];
  readonly protocol: Protocol & SamplingProtocol;
}

/**
 * Samples and scores. Pictures of `real` get the evaluation crop of the samples' size; statistics (.npz) serve fid alone.
 * @throws RangeError for a metric of pairs: a sample has no original
 */
export async function evaluateGeneration(
  pipeline: Pipeline,
  real: PictureSet,
  options: GenerationOptions,
): Promise<GenerationScores> {
  const { metrics, batchSize, count, onProgress, weightsHash, realStats, ...rest } = options;
  const paired = metrics.find((name) => ["psnr", "ssim", "ms-ssim", "lpips"].includes(name));
  if (paired)
    throw new RangeError(
      `Expected metrics of sets for a generator (fid, is, fvd), received ${paired}, which needs originals. Leave it out.`,
    );
  const { generator, tokenizer } = pipeline;
  const { seed, size = generator.facts.size, sampler = "ddim", steps = 250, guidance } = rest;
  const { device, dtype } = tokenizer.placement;
  const samples = generatedSource(pipeline, { ...rest, count, batchSize });
  const { protocol, ...scores } = await scorePictureSets(
    realSide(real, { size: size.height, realStats }),
    samples,
    {
      ...{ ...rest, metrics, batchSize, device },
      saveStats: realStats && !existsSync(realStats) ? realStats : undefined,
      onProgress: (part, done, total) => part === "fake" && onProgress?.(done, total),
    },
  );
  const named = (values: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(values).map(([name, value]) => [`g${name}`, value]));
  return {
    metrics: named(scores.metrics),
    deviations: named(scores.deviations),
    warnings: scores.warnings,
    protocol: {
      ...protocol,
      ...{ size: size.height, crop: "short side, then centre", resize: "bicubic, antialiased" },
      ...{ rounding: "nearest uint8", latent: "generated", dtype },
      ...{ weights: generator.facts.weights, weightsHash: weightsHash ?? null },
      ...{ generator: ditName(generator.config), sampler, steps, seed },
      guidance: guidance?.scale ?? 1,
      guidanceInterval: guidance?.interval ?? [0, 1],
      guidanceRescale: guidance?.rescale ?? 0,
    },
  };
}

/** Saved statistics, or the evaluation crop of every clip. */
function realSide(
  real: PictureSet,
  { size, realStats }: { size: number; realStats: string | undefined },
): PictureSet {
  if (typeof real === "string") return real;
  if (realStats && existsSync(realStats)) return realStats;
  const load: Source["load"] = async (index, request) =>
    evaluationCrop(await real.load(index, request), size);
  return { ...real, name: `${real.name}, cropped to ${size} pixels`, load };
}
