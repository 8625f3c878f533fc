// A tokenizer's scores while it trains: the recipe's `evaluate` section over evaluate/reconstruction.ts.
import type { Source } from "../data/source.js";
import { evaluateReconstruction } from "../evaluate/reconstruction.js";
import { reportOf } from "../evaluate/reconstruction-report.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { TrainConfig } from "./config.js";
import type { EvaluateRequest, Evaluation } from "./recipe.js";

/** Reconstruction scores, and pictures: originals above, reconstructions below. */
export async function evaluateTokenizer(
  tokenizer: Tokenizer,
  source: Source,
  { config, count }: EvaluateRequest & { config: TrainConfig },
): Promise<Evaluation> {
  const { metrics, batchSize } = config.evaluate;
  const scores = await evaluateReconstruction(tokenizer, source, {
    size: config.data.size,
    batchSize: batchSize ?? 16,
    metrics,
    lpipsTrunk: config.losses.lpipsTrunk,
    galleryCount: 8,
    ...(count ? { count } : {}),
  });
  const { gallery } = scores;
  const clips = [...gallery.map(({ original }) => original), ...gallery.map(({ recon }) => recon)];
  return {
    metrics: scores.metrics,
    protocol: { ...scores.protocol },
    grid: gallery.length ? { clips, columns: gallery.length } : undefined,
    report: reportOf(scores),
  };
}
