// A tokenizer's scores while it trains: the recipe's `evaluate` section over evaluate/reconstruction.ts.
import { join } from "node:path";
import type { Source } from "../data/source.js";
import { evaluatePart, evaluateReconstruction } from "../evaluate/reconstruction.js";
import { reportOf } from "../evaluate/reconstruction-report.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import type { TrainConfig } from "./config.js";
import type { EvaluateRequest, Evaluation, EvaluationShare } from "./recipe.js";

interface TokenizerRequest extends EvaluateRequest {
  readonly config: TrainConfig;
  /** Which the tokenizer's are, for the passport. */
  readonly weights?: "raw" | "ema";
}

/** Reconstruction scores, and pictures: originals above, reconstructions below. */
export async function evaluateTokenizer(
  tokenizer: Tokenizer,
  source: Source,
  { config, count, share, weights = "raw" }: TokenizerRequest,
): Promise<Evaluation | undefined> {
  const { metrics, batchSize, fidTap } = config.evaluate;
  const { frames, fps } = config.data;
  const options = {
    size: config.evaluate.size,
    batchSize: batchSize ?? 16,
    metrics,
    fidTap,
    model: { weights, weightsHash: null },
    lpipsTrunk: config.losses.lpipsTrunk,
    galleryCount: 8,
    window: { frames, fps },
    ...(count ? { count } : {}),
  };
  const scores = share
    ? await evaluatePart(tokenizer, source, { ...options, ...share, state: stateIn(share) })
    : await evaluateReconstruction(tokenizer, source, options);
  if (!("metrics" in scores)) return undefined;
  const { gallery } = scores;
  const clips = [...gallery.map(({ original }) => original), ...gallery.map(({ recon }) => recon)];
  return {
    metrics: scores.metrics,
    protocol: { ...scores.protocol },
    grid: gallery.length ? { clips, columns: gallery.length } : undefined,
    report: reportOf(scores),
  };
}

const stateIn = ({ folder }: EvaluationShare) => ({
  path: join(folder, "evaluation.safetensors"),
  isResumed: false,
});
