// `vitok evaluate GENERATOR --data SRC`: samples, decoded, against a set of pictures or its saved statistics.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { loadPipeline } from "../codec/generator-folder.js";
import { openSource } from "../data/source.js";
import { evaluateGeneration, type GenerationScores } from "../evaluate/generation.js";
import type { PlanOptions } from "../evaluate/plan.js";
import { reportOf } from "../evaluate/reconstruction-report.js";
import { fileHash } from "../file-hash.js";
import type { SamplerName } from "../generator/sampler.js";
import { pickDevice } from "../torch/index.js";
import { findGenerator, isGeneratorTarget } from "./generate.js";
import type { PlacementOptions } from "./model.js";
import { type Output, table } from "./output.js";
import { openProgress } from "./progress.js";
import { printProtocol, printScores, publishScores } from "./scores.js";

export { isGeneratorTarget };

/** A sample has no original. */
const noPairs = { intervals: {}, perImage: [], perClass: [] };

export interface SamplingOptions extends PlacementOptions {
  readonly data: string;
  readonly count?: number;
  readonly batchSize?: number;
  /** One scale, or several in turn. */
  readonly guidance: number | readonly number[];
  readonly guidanceInterval?: readonly [number, number];
  readonly guidanceRescale: number;
  readonly sampler: SamplerName;
  readonly steps: number;
  readonly seed: number;
  readonly realStats?: string;
  readonly out?: string;
  readonly report?: string;
}

interface Context {
  readonly plan: PlanOptions;
  readonly output: Output;
}

const usageError = 2;

export async function evaluateGeneratorModel(
  target: string,
  options: SamplingOptions,
  { plan, output }: Context,
): Promise<number> {
  const folder = findGenerator(target);
  const scales = [options.guidance].flat();
  if (scales.length > 1 && options.report) {
    output.log("Expected one scale of guidance with --report, received several. Leave one out.");
    return usageError;
  }
  const started = performance.now();
  const found = await scoreScales(folder, scales, { options, plan });
  const elapsedMs = Math.round(performance.now() - started);
  if (found.length > 1) publishScales({ model: folder, scales: found, elapsedMs }, options, output);
  else await publishOne(folder, found[0]!, { options, output, elapsedMs });
  return 0;
}

type Scored = GenerationScores & { readonly guidance: number };

/** Loads once; the real set is looked at once, too, where its statistics serve for what is asked. */
async function scoreScales(
  folder: string,
  scales: readonly number[],
  { options, plan }: { options: SamplingOptions; plan: PlanOptions },
): Promise<Scored[]> {
  const { data, count = 50_000, batchSize = 64, device = "auto", precision = "float32" } = options;
  const { sampler, steps, seed, guidanceInterval: interval, guidanceRescale: rescale } = options;
  const pipeline = await loadPipeline(folder, { device: pickDevice(device), dtype: precision });
  const { size, fps = 8 } = pipeline.generator.facts;
  const isSaved = data.endsWith(".npz") && existsSync(data);
  const real = isSaved ? data : await openSource(data, { frames: size.frames, fps });
  const progress = openProgress("sample", { total: count * scales.length });
  const servesAll =
    !isSaved && scales.length > 1 && plan.metrics.every((name) => /^(fid|is)$/.test(name));
  const weightsHash = await fileHash(join(folder, "model.safetensors"));
  const own = mkdtempSync(join(tmpdir(), "vitok-evaluate-"));
  const realStats = options.realStats ?? (servesAll ? join(own, "real.npz") : undefined);
  const found: Scored[] = [];
  try {
    for (const [i, scale] of scales.entries()) {
      const scores = await evaluateGeneration(pipeline, real, {
        ...plan,
        ...{ count, batchSize, seed, sampler, steps, realStats, weightsHash },
        guidance: { scale, interval, rescale },
        onProgress: (done) => progress.update(i * count + done, { unit: "sample" }),
      });
      found.push({ guidance: scale, ...scores });
    }
    return found;
  } finally {
    progress.stop();
    rmSync(own, { recursive: true });
    pipeline.generator.dispose();
    pipeline.tokenizer.dispose();
  }
}

/** A row a scale; the protocol once, for the rest of it is alike. */
function publishScales(
  result: { model: string; scales: readonly Scored[]; elapsedMs: number },
  { out }: SamplingOptions,
  output: Output,
): void {
  const { protocol, warnings } = result.scales[0]!;
  const rows = result.scales.map(({ guidance, metrics }) => ({
    guidance,
    ...Object.fromEntries(Object.entries(metrics).map(([name, value]) => [name, value.toFixed(4)])),
  }));
  output.print(table(rows));
  printProtocol({ ...protocol, guidance: rows.map(({ guidance }) => guidance).join(", ") }, output);
  for (const warning of warnings) output.log(`\nwarning: ${warning}`);
  if (out) writeFileAtomic(join(out, "scores.json"), `${JSON.stringify(result, null, 2)}\n`);
  output.result(result);
}

async function publishOne(
  folder: string,
  { guidance: _, ...scores }: Scored,
  { options, output, elapsedMs }: { options: SamplingOptions; output: Output; elapsedMs: number },
): Promise<void> {
  const { metrics, deviations, protocol, warnings } = scores;
  const shown = { metrics, deviations, protocol, warnings, ...noPairs };
  printScores(shown, output);
  const page = {
    ...reportOf(shown),
    title: protocol.generator,
    summary: `${folder}: ${protocol.count} samples against ${protocol.set}.`,
    kicker: "ViTok generation report",
  };
  const { out, report } = options;
  await publishScores({ model: folder, ...scores, elapsedMs }, { out, report }, { page, output });
}
