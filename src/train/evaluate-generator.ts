// A generator while it trains: a grid of samples with fixed seeds, and its scores, of the moving average.
import { type GenerateOptions, generateClips } from "../codec/generate.js";
import type { Pipeline } from "../codec/generator-folder.js";
import type { Source } from "../data/source.js";
import { evaluateGeneration, type GenerationScores } from "../evaluate/generation.js";
import { type Clip, frameOf } from "../media/clip.js";
import type { GeneratorTrainConfig } from "./generator.js";
import type { EvaluateRequest, Evaluation } from "./recipe.js";

interface GeneratorRequest extends EvaluateRequest {
  readonly config: GeneratorTrainConfig;
  /** A file to keep the real set's statistics in from one evaluation to the next. */
  readonly realStats: string;
}

/** Rows of the grid are classes. Scores only where the recipe asks for samples to score, and not for a grid alone. */
export async function evaluateGenerator(
  pipeline: Pipeline,
  source: Source,
  { config, isGridOnly = false, realStats }: GeneratorRequest,
): Promise<Evaluation> {
  const { sampler, steps, guidance: scale, ...sample } = config.generator.sample;
  const guidance = { scale, interval: sample.guidanceInterval, rescale: sample.guidanceRescale };
  const request: GenerateOptions = { sampler, steps, guidance, seed: config.seed };
  const clips = sampleGrid(pipeline, request, sample);
  const { scoreCount: count, batchSize } = sample;
  const scores =
    count > 0 && !isGridOnly
      ? await evaluateGeneration(pipeline, source, {
          ...{ ...request, count, batchSize, metrics: config.evaluate.metrics },
          fidTap: config.evaluate.fidTap,
          // Saved statistics serve fid alone.
          realStats: config.evaluate.metrics.every((name) => name === "fid")
            ? realStats
            : undefined,
        })
      : undefined;
  const protocol = scores?.protocol ?? { weights: "ema", sampler, steps, guidance: scale };
  return {
    metrics: scores?.metrics ?? {},
    protocol: { ...protocol },
    grid: { clips, columns: sample.perClass },
    report: reportOf(scores, protocol),
  };
}

/** The same noise at every step of the training: what changes is what was learnt. */
function sampleGrid(
  pipeline: Pipeline,
  request: GenerateOptions,
  { classes, perClass, batchSize }: { classes: number; perClass: number; batchSize: number },
): Clip[] {
  const rows = Math.min(classes, pipeline.generator.config.classes);
  const samples = Array.from({ length: rows * perClass }, (_, index) => ({
    index,
    label: Math.floor(index / perClass),
  }));
  const clips: Clip[] = [];
  for (let first = 0; first < samples.length; first += batchSize)
    clips.push(...generateClips(pipeline, samples.slice(first, first + batchSize), request));
  return clips.map((clip) => frameOf(clip, 0));
}

function reportOf(scores: GenerationScores | undefined, protocol: object): Evaluation["report"] {
  const told = Object.entries(protocol).filter(([, value]) => value !== null);
  return {
    scores: Object.entries(scores?.metrics ?? {}).map(([name, value]) => ({
      ...{ name, value },
      better: /FID|FVD|KID/.test(name) ? ("lower" as const) : ("higher" as const),
    })),
    protocol: Object.fromEntries(
      told.map(([name, value]) => [name, Array.isArray(value) ? value.join(" to ") : value]),
    ),
    gallery: [],
    warnings: scores?.warnings ?? [],
  };
}
