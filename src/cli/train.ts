// `vitok train CONFIG`: one recipe, with progress, until it is done or told to stop; then its report.

import { basename, extname, join } from "node:path";
import { loadTrainConfig, type TrainConfig } from "../train/config.js";
import { type DryRun, dryRun } from "../train/dry-run.js";
import { launch, launchedCount } from "../train/launch.js";
import { writeRunReport } from "../train/run-report.js";
import type { TrainResult } from "../train/train-options.js";
import { train } from "../train/trainer.js";
import { isGeneratorTarget } from "./generate.js";
import { formatCount, formatDuration, type Output, openOutput, table } from "./output.js";
import { openProgress } from "./progress.js";

interface TrainCommandOptions {
  readonly set: readonly string[];
  readonly out?: string;
  readonly resume?: boolean;
  readonly nproc?: number;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

export async function run(
  [path = ""]: readonly string[],
  options: TrainCommandOptions,
): Promise<number> {
  const config = loadTrainConfig(path, options.set);
  if (options.dryRun) return printPlan(await dryRun(config), openOutput(options));
  const out = options.out ?? config.out ?? join("runs", basename(path, extname(path)));
  const sets = options.set.map((set) => ` --set ${set}`).join("");
  const processes = options.nproc ?? launchedCount();
  const nproc = processes ? ` --nproc ${processes}` : "";
  const command = `npx vitok train ${path}${sets} --out ${out}${nproc}`;
  if (options.nproc) {
    const { set, resume, json } = options;
    const line = [process.argv[1]!, "train", path, ...set.flatMap((item) => ["--set", item])];
    line.push("--out", out, ...(resume ? ["--resume"] : []), ...(json ? ["--json"] : []));
    const { log } = openOutput(options);
    return launch({ count: options.nproc, line, resumeCommand: `${command} --resume`, log });
  }
  return runRecipe(config, {
    out,
    command,
    resume: options.resume ?? false,
    output: openOutput(options),
  });
}

function printPlan(plan: DryRun, output: Output): number {
  const { parameters, memoryMiB, data } = plan;
  const rows = Object.entries({
    recipe: `stage ${plan.stage} of ${plan.variant} on ${plan.device}`,
    data: `${data.name}, ${formatCount(data.files)} files`,
    parameters: `${formatCount(parameters.learning)} learn, ${formatCount(parameters.frozen)} are frozen`,
    latent: `${plan.tokens} tokens, ${plan.latentSize} numbers`,
    steps: `${plan.steps} of ${plan.batchSize} samples, ${plan.microBatch} at a time: ${plan.epochs.toFixed(1)} epochs`,
    memory: `${memoryMiB.peak} MiB at most, ${memoryMiB.states} of them weights, gradients and moments`,
    "a checkpoint": `${plan.checkpointMiB} MiB`,
    time: `${formatDuration(plan.totalMs)}, ${Math.round(plan.stepMs)} ms a step; evaluations not counted`,
  });
  output.print(table(rows.map(([name, value]) => ({ "": name, plan: value }))));
  for (const note of plan.notes) output.print(note);
  output.result({ ...plan });
  return 0;
}

/** Trains with a progress bar and signals; the exit status is 1 for a run that was stopped before its end. */
export async function runRecipe(
  config: TrainConfig,
  { output, ...options }: { out: string; command: string; resume: boolean; output: Output },
): Promise<number> {
  const total = config.train.steps;
  const stopping = stopOnSignals(output);
  const unit = config.data.frames > 1 ? "clip" : "img";
  let progress: ReturnType<typeof openProgress> | undefined;
  try {
    const result = await train(config, {
      ...options,
      signal: stopping.signal,
      onStart: (start) => {
        progress = openProgress("train", { total, start });
      },
      onStep: (step, fields) => progress?.update(step, { unit, ...fields }),
      onNote: (text) => progress?.note(text),
    });
    progress?.stop();
    return await conclude(result, options.command, output);
  } finally {
    progress?.stop();
    stopping.release();
  }
}

async function conclude(result: TrainResult, command: string, output: Output): Promise<number> {
  const { state, step, folder, model, scores, unreadable, rank } = result;
  if (rank > 0) return state === "done" ? 0 : 1;
  if (unreadable.length) {
    output.log(`${unreadable.length} files could not be read:`);
    for (const { reason } of unreadable) output.log(`  ${reason}`);
  }
  if (!scores) {
    output.log(`Stopped after step ${step}. Go on with:\n  ${command} --resume`);
    output.result({ state, step, folder });
    return 1;
  }
  const report = await writeRunReport(folder, scores);
  for (const [name, value] of Object.entries(scores.metrics))
    output.print(`${name.padEnd(6)} ${value.toFixed(4)}`);
  output.print(
    `\nModel   ${model}\nReport  ${report}\nTry     npx vitok ${
      model && isGeneratorTarget(model)
        ? `generate ${model} --class all`
        : `reconstruct ${model} FILE...`
    } --out out`,
  );
  output.result({
    state,
    step,
    folder,
    model,
    report,
    metrics: scores.metrics,
    protocol: scores.protocol,
  });
  return 0;
}

/** The first SIGINT or SIGTERM asks the run to save and stop; a second one ends the process at once. */
function stopOnSignals(output: Output): { signal: AbortSignal; release(): void } {
  const controller = new AbortController();
  const stop = (name: NodeJS.Signals) => {
    if (controller.signal.aborted) process.exit(1);
    output.log(`\n${name}: saving a checkpoint after this step. Once more to stop at once.`);
    controller.abort();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  return {
    signal: controller.signal,
    release: () => void process.off("SIGINT", stop).off("SIGTERM", stop),
  };
}
