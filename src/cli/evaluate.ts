// `vitok evaluate MODEL --data SRC`: reconstruction scores with the protocol they were measured by, and a page of pictures.
// Generators: evaluate-generator.ts.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { openSource } from "../data/source.js";
import { evaluateReconstruction, type ReconstructionScores } from "../evaluate/reconstruction.js";
import { reportOf } from "../evaluate/reconstruction-report.js";
import { writeReport } from "../evaluate/report.js";
import { variantName } from "../tokenizer/config.js";
import {
  evaluateGeneratorModel,
  isGeneratorTarget,
  type SamplingOptions,
} from "./evaluate-generator.js";
import { loadModel } from "./model.js";
import { type Output, openOutput, table } from "./output.js";
import { openProgress } from "./progress.js";
import { printScores, readPlan, type ScoreOptions } from "./scores.js";

interface EvaluateCommandOptions extends SamplingOptions, ScoreOptions {
  readonly size?: number;
  readonly keep?: number;
  readonly report?: string;
  readonly resume?: boolean;
  readonly json?: boolean;
}

const usageError = 2;

export async function run(
  [target = ""]: readonly string[],
  options: EvaluateCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const plan = readPlan(options, output);
  if (!plan) return usageError;
  const { data, report, count, keep, realStats, out, resume } = options;
  if (resume && !out) {
    output.log("Expected --out with --resume: the folder that holds the state. Add it.");
    return usageError;
  }
  if (isGeneratorTarget(target)) return evaluateGeneratorModel(target, options, { plan, output });
  const source = await openSource(data);
  const { tokenizer, ...model } = await loadModel(target, options);
  const progress = openProgress("evaluate", { total: Math.min(count ?? Infinity, source.length) });
  const state = out && join(out, "state.safetensors");
  const scores = await evaluateReconstruction(tokenizer, source, {
    ...plan,
    ...{ count, keep, realStats },
    size: options.size ?? model.size,
    batchSize: options.batchSize ?? 16,
    galleryCount: report ? 12 : 0,
    model: model.id,
    state: state ? { path: state, isResumed: resume ?? false } : undefined,
    onProgress: (done) => progress.update(done),
  }).finally(progress.stop);
  tokenizer.dispose();

  const title = variantName(tokenizer.config);
  const command = `npx vitok ${process.argv.slice(2).map(quoted).join(" ")}`;
  const summary = `${model.folder} on ${scores.protocol.count} pictures of ${source.name}.`;
  const page =
    report && (await writeReport(report, { ...reportOf(scores), title, summary, command }));
  const { gallery: _, ...numbers } = scores;
  const result = { model: model.folder, variant: title, ...numbers };
  const file = out && join(out, "scores.json");
  if (file) writeFileAtomic(file, `${JSON.stringify(result, null, 2)}\n`);
  if (state) rmSync(state, { force: true });

  print(scores, output);
  if (page) output.print(`\nReport  ${page}`);
  if (file) output.print(`\nScores  ${file}`);
  output.result({ ...result, ...(page ? { report: page } : {}) });
  return 0;
}

/** As a shell takes it back. */
const quoted = (word: string): string =>
  /^[\w./:=,-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;

function print(scores: ReconstructionScores, output: Output): void {
  printScores(scores, output);
  const { drift, saturated, nonFinite, grid } = scores.artefacts;
  const percent = (share: number) => `${(100 * share).toFixed(2)} %`;
  output.print();
  output.print(
    table([
      { artefact: "grid at the patch period, in 1/255", value: grid.amplitude.toFixed(3) },
      { artefact: "colour drift R G B, in 1/255", value: drift.map((d) => d.toFixed(2)).join(" ") },
      {
        artefact: "saturated (originals)",
        value: `${percent(saturated.recon)} (${percent(saturated.original)})`,
      },
      { artefact: "not finite", value: percent(nonFinite) },
    ]),
  );
  if (!scores.unreadable.length) return;
  output.log(`\n${scores.unreadable.length} files could not be read and are in no score:`);
  for (const { reason } of scores.unreadable) output.log(`  ${reason}`);
}
