// `vitok study run` and `report`: from names and options to planned cells, their steps made, and results, figures and a page.
import { availableParallelism } from "node:os";
import { parse } from "yaml";
import { ConfigError } from "../config-error.js";
import { expandStudy } from "../study/cells.js";
import type { Slot } from "../study/command.js";
import { type Conclusion, concludeStudy } from "../study/conclude.js";
import { estimateSteps } from "../study/estimate.js";
import { loadStudy, type ScaleName, type Study, scaleNames } from "../study/manifest.js";
import { type PlannedCell, planCell, type Step, stepsOf } from "../study/plan.js";
import { runSteps } from "../study/runner.js";
import { Store } from "../study/store.js";
import { pickDevice } from "../torch/index.js";
import { formatDuration, type Output, openOutput, table } from "./output.js";
import { openStepTable } from "./study-table.js";

export interface StudyOptions {
  readonly scale?: ScaleName;
  /** Milliseconds. */
  readonly budget?: number;
  readonly parallel?: number;
  readonly devices?: readonly string[];
  readonly nproc?: number;
  readonly seeds?: number;
  readonly only?: readonly string[];
  /** One of several jobs that share the cells, counted from 0. */
  readonly cell?: { readonly index: number; readonly count: number };
  readonly set: readonly string[];
  readonly out: string;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

interface Planned {
  readonly study: Study;
  readonly scale: ScaleName;
  /** All of the study's, by which it is reported. */
  readonly cells: readonly PlannedCell[];
}

export async function runStudies(names: readonly string[], options: StudyOptions): Promise<number> {
  const output = openOutput(options);
  const store = new Store(options.out);
  const slots = slotsOf(options);
  const device = slots[0]!.device === "cpu" ? "cpu" : "cuda";
  const scale = options.scale ?? pickScale(names, options, { store, slots, device });
  const studies = planStudies(names, { ...options, scale });
  const chosen = choose(studies, options);
  const steps = stepsOf(chosen);
  if (options.dryRun) return printPlan(chosen, steps, { store, slots, device, scale, output });
  const stopping = stopOnSignals(output);
  const watcher = openStepTable(steps, { store, isLive: Boolean(process.stderr.isTTY) });
  const outcome = await runSteps(steps, {
    ...{ store, slots, nproc: options.nproc, signal: stopping.signal, kill: stopping.kill },
    onEvent: (event) => watcher.tell(event),
  }).finally(() => {
    watcher.stop();
    stopping.release();
  });
  const conclusions: Conclusion[] = [];
  for (const planned of studies) conclusions.push(await concludeStudy(planned, { store }));
  for (const conclusion of conclusions) printConclusion(conclusion, output);
  for (const { step, reason } of outcome.failed) output.log(`\n${step.title} failed: ${reason}`);
  if (outcome.left)
    output.log(
      `\n${outcome.left} steps were not made${stopping.signal.aborted ? "" : ", as what they need failed"}. The same command goes on.`,
    );
  output.result({
    done: outcome.done,
    failed: outcome.failed.map(({ step, reason }) => ({ step: step.title, reason })),
    left: outcome.left,
    studies: conclusions.map(({ results, files }) => ({ ...results, files })),
  });
  return outcome.failed.length || outcome.left ? 1 : 0;
}

/** What is there so far, without running anything. */
export async function reportStudies(
  names: readonly string[],
  options: StudyOptions,
): Promise<number> {
  const output = openOutput(options);
  const store = new Store(options.out);
  const studies = planStudies(names, { ...options, scale: options.scale ?? "small" });
  const conclusions: Conclusion[] = [];
  for (const planned of studies) conclusions.push(await concludeStudy(planned, { store }));
  for (const conclusion of conclusions) printConclusion(conclusion, output);
  output.result({ studies: conclusions.map(({ results, files }) => ({ ...results, files })) });
  return 0;
}

function planStudies(
  names: readonly string[],
  options: StudyOptions & { scale: ScaleName },
): Planned[] {
  const { scale, seeds } = options;
  const sets = options.set.map(readSet);
  return names.map((name) => {
    const study = loadStudy(name);
    const cells = expandStudy(study, { scale, sets, seeds });
    return { study, scale, cells: cells.map((cell) => planCell(study.name, cell)) };
  });
}

function readSet(text: string): readonly [string, unknown] {
  const equals = text.indexOf("=");
  if (equals > 0) return [text.slice(0, equals), parse(text.slice(equals + 1))];
  throw new ConfigError(`Expected key=value for --set, received "${text}". Write train.steps=100.`);
}

/** Those that `--only` names and that this job of an array is to make. */
function choose(studies: readonly Planned[], { only, cell: job }: StudyOptions): PlannedCell[] {
  const all = studies.flatMap(({ cells }) => cells);
  const known = new Set(all.map(({ cell }) => cell.id));
  const wrong = only?.find((id) => !known.has(id));
  if (wrong !== undefined)
    throw new ConfigError(
      `Expected cells for --only, received "${wrong}". Cells: ${[...known].join(", ")}.`,
    );
  const wanted = only ? all.filter(({ cell }) => only.includes(cell.id)) : all;
  const { index, count } = job ?? jobOfCluster() ?? { index: 0, count: 1 };
  return wanted.filter((_, place) => place % count === index);
}

/** This job's place in an array of Slurm, or in an indexed job of Kubernetes (which does not tell how many there are). */
function jobOfCluster(): StudyOptions["cell"] {
  const { SLURM_ARRAY_TASK_ID, SLURM_ARRAY_TASK_MIN, SLURM_ARRAY_TASK_COUNT } = process.env;
  const { JOB_COMPLETION_INDEX, JOB_COMPLETIONS } = process.env;
  const [place, count] = SLURM_ARRAY_TASK_ID
    ? [Number(SLURM_ARRAY_TASK_ID) - Number(SLURM_ARRAY_TASK_MIN ?? 0), SLURM_ARRAY_TASK_COUNT]
    : [Number(JOB_COMPLETION_INDEX), JOB_COMPLETIONS];
  if (count === undefined || !Number.isInteger(place)) return undefined;
  if (place < Number(count)) return { index: place, count: Number(count) };
  throw new ConfigError(
    `Expected a job below ${count}, the length of the array, received ${place}. Number its jobs one by one.`,
  );
}

function slotsOf({ devices, parallel }: StudyOptions): Slot[] {
  const names = devices ?? [pickDevice("auto")];
  const count = parallel ?? names.length;
  const threads = Math.max(1, Math.floor(availableParallelism() / count));
  const visible = process.env.CUDA_VISIBLE_DEVICES?.split(",");
  return Array.from({ length: count }, (_, i) => {
    const name = names[i % names.length]!;
    const [kind = "", index] = name.split(":");
    const shared = {
      OMP_NUM_THREADS: process.env.OMP_NUM_THREADS ?? String(threads),
      UV_THREADPOOL_SIZE: String(Math.max(4, threads)),
    };
    if (!["cpu", "cuda", "mps"].includes(kind) || (index !== undefined && !/^\d+$/.test(index)))
      throw new ConfigError(`Expected cpu, cuda or cuda:N for --devices, received "${name}".`);
    // A process that sees one GPU alone cannot leave anything on another.
    const gpu =
      index === undefined ? {} : { CUDA_VISIBLE_DEVICES: visible?.[Number(index)] ?? index };
    return { name, device: kind, env: { ...shared, ...gpu } };
  });
}

interface Means {
  readonly store: Store;
  readonly slots: readonly Slot[];
  readonly device: "cuda" | "cpu";
}

/** Milliseconds on these slots: several small runs share a device well, large ones do not. */
function wallMs(steps: readonly Step[], { store, slots, device }: Means): number {
  const devices = new Set(slots.map(({ name }) => name)).size;
  const alone = 1000 * estimateSteps(steps, { device, store });
  return alone / Math.min(slots.length, device === "cpu" ? 1 : 2 * devices);
}

/** The largest scale that a budget allows; without one the small scale. @throws ConfigError where none fits */
function pickScale(names: readonly string[], options: StudyOptions, means: Means): ScaleName {
  if (options.budget === undefined) return "small";
  const shared = scaleNames.filter((scale) => names.every((name) => loadStudy(name).scales[scale]));
  const told = shared.map((scale) => {
    const steps = stepsOf(choose(planStudies(names, { ...options, scale }), options));
    return { scale, ms: wallMs(steps, means) };
  });
  const fitting = told.find(({ ms }) => ms <= options.budget!);
  if (fitting) return fitting.scale;
  const times = told.map(({ scale, ms }) => `${scale} ${formatDuration(ms)}`).join(", ");
  throw new ConfigError(
    `Expected a --budget that a scale fits into, received ${formatDuration(options.budget)}. Estimates: ${times}. ` +
      "Choose cells by --only, or fewer steps by --set train.steps=N.",
  );
}

function printPlan(
  cells: readonly PlannedCell[],
  steps: readonly Step[],
  { output, scale, ...means }: Means & { scale: ScaleName; output: Output },
): number {
  const { store, device } = means;
  const hours = (some: readonly Step[]) => estimateSteps(some, { device, store }) / 3600;
  const rows = cells.map(({ study, cell, steps: own }) => ({
    ...{ study, cell: cell.id },
    steps: own.length,
    done: own.filter(({ key }) => store.done(key)).length,
    [`${device === "cpu" ? "CPU" : "GPU"} hours`]: hours(own).toPrecision(3),
  }));
  output.print(table(rows));
  const total = hours(steps);
  output.print(
    `\nScale ${scale}: ${steps.length} steps, ${steps.filter(({ key }) => store.done(key)).length} of them done; the rest about ` +
      `${total.toPrecision(3)} ${device === "cpu" ? "CPU" : "GPU"} hours, ${formatDuration(wallMs(steps, means))} on ${means.slots.length} at a time.`,
  );
  output.result({
    ...{ scale, device },
    hours: total,
    wallMs: wallMs(steps, means),
    cells: cells.map(({ study, cell, steps: own }) => ({
      ...{ study, cell: cell.id, values: cell.values, hours: hours(own) },
      steps: own.map(({ key, title, kind }) => ({
        key,
        title,
        kind,
        isDone: Boolean(store.done(key)),
      })),
    })),
  });
  return 0;
}

function printConclusion({ results, rows, files }: Conclusion, output: Output): void {
  output.print(`\n${results.title} (${results.study}, ${results.scale})`);
  if (rows.length) output.print(table(rows));
  for (const { claim, verdict, numbers } of results.verdicts)
    output.print(`${verdict.toUpperCase()}: ${claim}. ${numbers}`);
  for (const file of files) output.print(file);
}

/** Signals that arrive so soon after the first are the same one: `timeout` and terminals tell a whole group. */
const sameSignalMs = 1000;

/** The first signal lets trainings save and stop; a later one ends everything at once. */
function stopOnSignals(output: Output): {
  signal: AbortSignal;
  kill: AbortSignal;
  release(): void;
} {
  const [stopping, killing] = [new AbortController(), new AbortController()];
  let firstMs = 0;
  const stop = (name: NodeJS.Signals) => {
    if (stopping.signal.aborted) {
      if (performance.now() - firstMs > sameSignalMs) killing.abort();
      return;
    }
    firstMs = performance.now();
    output.log(`\n${name}: trainings save a checkpoint and stop. The same command goes on.`);
    stopping.abort();
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
  return {
    ...{ signal: stopping.signal, kill: killing.signal },
    release: () => void process.off("SIGINT", stop).off("SIGTERM", stop),
  };
}
