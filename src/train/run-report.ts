// A finished run as one page: its scores, curves and pictures. What a page looks like is evaluate/report.ts.
import { join } from "node:path";
import { stringify } from "yaml";
import { writeReport } from "../evaluate/report.js";
import { readRun, stageOf } from "./log.js";
import type { Evaluation } from "./recipe.js";
import { chartsOf } from "./run-charts.js";

/** Writes `report/index.html` into the run's folder and returns its path. */
export async function writeRunReport(folder: string, { report }: Evaluation): Promise<string> {
  const record = readRun(folder);
  if (!record) throw new Error(`Expected a run in ${folder}, found no run.jsonl.`);
  const { run, steps, events, end } = record;
  const told = events.filter(({ kind }) => kind !== "start" && kind !== "best");
  const minutes = ((end?.elapsedMs ?? steps.at(-1)?.elapsedMs ?? 0) / 60_000).toFixed(1);
  return writeReport(join(folder, "report"), {
    ...report,
    title: run.variant,
    summary: `${nameOf(stageOf(run))}, ${end?.step ?? 0} steps in ${minutes} minutes on ${run.device}.`,
    warnings: [
      ...(report.warnings ?? []),
      ...told.map(({ step, text }) => `Step ${step}: ${text}.`),
    ],
    charts: chartsOf(record),
    command: run.command,
    config: stringify(run.config),
    facts: {
      engine: run.engine,
      device: run.device,
      cores: run.cores,
      seed: run.seed,
      vitok: run.version,
      started: run.startedAt,
    },
  });
}

const nameOf = (stage: number | string): string =>
  stage === "generator" ? "Generator" : `Stage ${stage}`;
