// `vitok runs [DIR]`: every run under a folder, with its state and its last scores, from run.jsonl alone.

import { type Dirent, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { ConfigError } from "../config-error.js";
import { type RunRecord, readRun, stageOf } from "../train/log.js";
import { formatDuration, openOutput, table } from "./output.js";

/** Runs may lie in a study's sub-folder, not deeper. */
const deepest = 3;

export async function run(
  [folder = "runs"]: readonly string[],
  options: { readonly json?: boolean },
): Promise<void> {
  const output = openOutput(options);
  const runs = findRuns(folder).sort((a, b) => b.updatedMs - a.updatedMs);
  if (runs.length === 0)
    output.print(`No runs in ${folder}. Start one: vitok train configs/smoke.yaml`);
  else output.print(table(runs.map((record) => row(folder, record))));
  output.result({ runs: runs.map(summary) });
}

/** Every run below a folder that is there. */
export function findRuns(folder: string, depth = 0): RunRecord[] {
  const record = readRun(folder);
  if (record) return [record];
  if (depth === deepest) return [];
  return subfolders(folder, depth).flatMap((name) => findRuns(join(folder, name), depth + 1));
}

function subfolders(folder: string, depth: number): string[] {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    // No runs yet is no failure, and neither is a folder that vanished or is closed to us.
    if (code === "ENOENT" || depth > 0) return [];
    throw new ConfigError(`Expected a folder of runs, received "${folder}" (${code}).`, { cause });
  }
  return entries.filter((entry) => entry.isDirectory()).map((entry) => entry.name);
}

function summary(record: RunRecord) {
  const { folder, run, steps, evals, events, state, end, updatedMs } = record;
  const last = steps.at(-1);
  const trouble = events.filter(({ kind }) => kind !== "start" && kind !== "best");
  return {
    run: folder,
    variant: run.variant,
    stage: stageOf(run),
    state,
    step: last?.step ?? 0,
    loss: last?.loss ?? null,
    metrics: evals.at(-1)?.metrics ?? {},
    events: trouble.map(({ step, kind, text }) => ({ step, kind, text })),
    device: run.device,
    startedAt: run.startedAt,
    elapsedMs: end?.elapsedMs ?? last?.elapsedMs ?? 0,
    updatedAt: new Date(updatedMs).toISOString(),
  };
}

function row(root: string, record: RunRecord) {
  const { run, variant, stage, state, step, loss, metrics, elapsedMs, events } = summary(record);
  const scores = Object.entries(metrics).map(([name, value]) => [name, value?.toFixed(3) ?? "-"]);
  const ago = formatDuration(Date.now() - record.updatedMs);
  return {
    run: relative(root, run) || run,
    variant,
    stage,
    state,
    step,
    loss: loss?.toPrecision(3),
    ...Object.fromEntries(scores),
    events: events.length || "",
    time: formatDuration(elapsedMs),
    "last line": `${ago} ago`,
  };
}
