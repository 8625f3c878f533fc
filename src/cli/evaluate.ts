// `vitok evaluate MODEL --data SRC`: reconstruction scores with the protocol they were measured by, and a page of pictures.
// Generators: evaluate-generator.ts.

import { rmSync } from "node:fs";
import { join } from "node:path";
import { openSource } from "../data/source.js";
import type { Part } from "../evaluate/parts.js";
import {
  type EvaluateOptions,
  evaluatePart,
  evaluateReconstruction,
  type ReconstructionScores,
  type Waiting,
} from "../evaluate/reconstruction.js";
import { reportOf } from "../evaluate/reconstruction-report.js";
import type { GalleryItem } from "../evaluate/report.js";
import { frameOf } from "../media/clip.js";
import { writeImage } from "../media/image.js";
import { usualSize } from "../tokenizer/cost.js";
import { loadAutoEncoder } from "./auto-encoder.js";
import {
  evaluateGeneratorModel,
  isGeneratorTarget,
  type SamplingOptions,
} from "./evaluate-generator.js";
import { type Output, openOutput, table } from "./output.js";
import { openProgress, type Progress } from "./progress.js";
import {
  type Destination,
  printScores,
  publishScores,
  readPlan,
  readWindow,
  type ScoreOptions,
  usualBatchSize,
} from "./scores.js";

interface EvaluateCommandOptions extends SamplingOptions, ScoreOptions {
  readonly size?: number;
  readonly keep?: number;
  readonly latent?: "mean" | "sample";
  readonly report?: string;
  readonly pictures?: string;
  readonly resume?: boolean;
  readonly part?: Part;
  readonly json?: boolean;
}

const usageError = 2;
/** Of --pictures. */
const picturesShown = 8;

export async function run(
  [target = ""]: readonly string[],
  options: EvaluateCommandOptions,
): Promise<number> {
  const output = openOutput(options);
  const plan = readPlan(options, output);
  if (!plan) return usageError;
  const isGenerator = isGeneratorTarget(target);
  const { data, report, pictures, count, keep, latent, seed, realStats, out, resume } = options;
  const part = isGenerator ? undefined : (options.part ?? partOfLaunch());
  if ((resume || part) && !out) {
    const asked = resume ? "--resume" : `part ${part!.index + 1} of ${part!.count}`;
    output.log(`Expected --out with ${asked}: the folder that holds the state. Add it.`);
    return usageError;
  }
  if (isGenerator && latent) {
    output.log("Expected no --latent for a generator: its latents are its own. Leave it out.");
    return usageError;
  }
  if (isGenerator) return evaluateGeneratorModel(target, options, { plan, output });
  const { tokenizer, ...model } = await loadAutoEncoder(target, options);
  const window = readWindow(options, plan, usualSize(tokenizer.config).frames);
  const source = await openSource(data, window);
  let progress: Progress | undefined;
  const state = out && { path: join(out, "state.safetensors"), isResumed: resume ?? false };
  const evaluation: EvaluateOptions = {
    ...plan,
    ...{ window, count, keep, latent, seed, realStats, ...(state ? { state } : {}) },
    size: options.size ?? model.size,
    batchSize: options.batchSize ?? usualBatchSize(tokenizer.placement.device),
    ...(report ? { galleryCount: 12, classCount: 12 } : {}),
    ...(pictures ? { evenCount: picturesShown } : {}),
    model: model.id,
    onProgress: (done, total) => {
      progress ??= openProgress("evaluate", { total });
      progress.update(done);
    },
  };
  const found = await (part && state
    ? evaluatePart(tokenizer, source, { ...evaluation, state, part })
    : evaluateReconstruction(tokenizer, source, evaluation)
  ).finally(() => progress?.stop());
  tokenizer.dispose();
  if ("waitingFor" in found) return reportWaiting(part!, found, output);
  if (state) rmSync(state.path, { force: true });
  if (pictures) await writePictures(pictures, found.gallery);
  const title = tokenizer.name;
  await reportScores(found, { folder: model.folder, title, report, out }, output);
  return 0;
}

/** `0.original.png`, `0.recon.png` and so on; of clips the middle frame. */
async function writePictures(folder: string, gallery: readonly GalleryItem[]): Promise<void> {
  const even = gallery.filter(({ group }) => group === "even");
  for (const [i, { original, recon }] of even.entries())
    for (const [name, clip] of Object.entries({ original, recon }))
      await writeImage(
        join(folder, `${i}.${name}.png`),
        frameOf(clip, Math.floor(clip.frames / 2)),
      );
}

/** Under torchrun and its like each process takes its part. */
function partOfLaunch(): Part | undefined {
  const [index, count] = [process.env.RANK, process.env.WORLD_SIZE].map(Number);
  return count! > 1 && index! >= 0 && index! < count!
    ? { index: index!, count: count! }
    : undefined;
}

function reportWaiting({ index, count }: Part, { waitingFor }: Waiting, output: Output): number {
  const others = waitingFor.join(", ");
  output.print(`Part ${index + 1} of ${count} is done; whoever ends last writes the scores.`);
  output.print(`Not yet at their end: ${others}`);
  output.result({ part: index + 1, of: count, waitingFor });
  return 0;
}

async function reportScores(
  scores: ReconstructionScores,
  { folder, title, ...destination }: Destination & { folder: string; title: string },
  output: Output,
): Promise<void> {
  const summary = `${folder} on ${scores.protocol.count} files of ${scores.protocol.set}.`;
  const { gallery: _, ...numbers } = scores;
  const result = { model: folder, variant: title, ...numbers };
  const page = { ...reportOf(scores), title, summary };
  print(scores, output);
  await publishScores(result, destination, { page, output });
}

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
