// `vitok evaluate GENERATOR --data SRC`: samples, decoded, against a set of pictures or its saved statistics.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { loadPipeline } from "../codec/generator-folder.js";
import { openSource } from "../data/source.js";
import { evaluateGeneration } from "../evaluate/generation.js";
import type { PlanOptions } from "../evaluate/plan.js";
import { reportOf } from "../evaluate/reconstruction-report.js";
import { fileHash } from "../file-hash.js";
import type { SamplerName } from "../generator/sampler.js";
import { pickDevice } from "../torch/index.js";
import { findGenerator, isGeneratorTarget } from "./generate.js";
import type { PlacementOptions } from "./model.js";
import type { Output } from "./output.js";
import { openProgress } from "./progress.js";
import { printScores, publishScores } from "./scores.js";

export { isGeneratorTarget };

/** A sample has no original. */
const noPairs = { intervals: {}, perImage: [], perClass: [] };

export interface SamplingOptions extends PlacementOptions {
  readonly data: string;
  readonly count?: number;
  readonly batchSize?: number;
  readonly guidance: number;
  readonly guidanceInterval?: readonly [number, number];
  readonly guidanceRescale: number;
  readonly sampler: SamplerName;
  readonly steps: number;
  readonly seed: number;
  readonly realStats?: string;
  readonly out?: string;
  readonly report?: string;
}

export async function evaluateGeneratorModel(
  target: string,
  options: SamplingOptions,
  { plan, output }: { plan: PlanOptions; output: Output },
): Promise<number> {
  const folder = findGenerator(target);
  const { data, count = 50_000, batchSize = 64, device = "auto", precision = "float32" } = options;
  const pipeline = await loadPipeline(folder, { device: pickDevice(device), dtype: precision });
  const { size, fps = 8 } = pipeline.generator.facts;
  const isSaved = data.endsWith(".npz") && existsSync(data);
  const real = isSaved ? data : await openSource(data, { frames: size.frames, fps });
  const progress = openProgress("sample", { total: count });
  const { sampler, steps, seed, out, report, realStats } = options;
  const { guidance: scale, guidanceInterval: interval, guidanceRescale: rescale } = options;
  const started = performance.now();
  const scores = await evaluateGeneration(pipeline, real, {
    ...plan,
    ...{ count, batchSize, seed, sampler, steps, realStats },
    guidance: { scale, interval, rescale },
    weightsHash: await fileHash(join(folder, "model.safetensors")),
    onProgress: (done) => progress.update(done, { unit: "sample" }),
  }).finally(() => {
    progress.stop();
    pipeline.generator.dispose();
    pipeline.tokenizer.dispose();
  });
  const elapsedMs = Math.round(performance.now() - started);
  const { metrics, deviations, protocol, warnings } = scores;
  const shown = { metrics, deviations, protocol, warnings, ...noPairs };
  printScores(shown, output);
  const page = {
    ...reportOf(shown),
    title: protocol.generator,
    summary: `${folder}: ${protocol.count} samples against ${protocol.set}.`,
    kicker: "ViTok generation report",
  };
  await publishScores({ model: folder, ...scores, elapsedMs }, { out, report }, { page, output });
  return 0;
}
