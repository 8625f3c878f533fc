// run.jsonl: what a run writes about itself, one JSON object a line, and its reader.
// Everything that looks at runs (`vitok runs`, the report, studies) reads this file and nothing else.

import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  writeSync,
} from "node:fs";
import { join } from "node:path";

/** The first line, and one more at each resume. */
export interface RunLine {
  readonly type: "run";
  readonly variant: string;
  readonly config: unknown;
  readonly version: string;
  readonly commit?: string;
  readonly seed: number;
  readonly device: string;
  /** libtorch and its version. */
  readonly engine: string;
  readonly cores: number;
  /** Processes that train together; absent for one. */
  readonly processes?: number;
  /** The command that started it, for the report. */
  readonly command: string;
  /** ISO 8601, UTC. */
  readonly startedAt: string;
  /** The last step that the resumed checkpoint holds: later lines above this one are void. */
  readonly resumedAtStep?: number;
}

/** One line per log step. `terms` are unweighted; a number that is not finite is written as null. */
export interface StepLine {
  readonly type: "step";
  readonly step: number;
  readonly loss: number | null;
  readonly terms: Readonly<Record<string, number | null>>;
  readonly lr: number;
  readonly gradNorm: number | null;
  /** What else the recipe has to watch: the discriminator's logits, the weight of its term. */
  readonly gauges?: Readonly<Record<string, number | null>>;
  readonly imagesPerSecond: number;
  /** Share of the time spent waiting for data, 0..1. */
  readonly dataWaitShare: number;
  /** Model FLOPs over the measured peak, 0..1; absent where no peak was measured. */
  readonly mfu?: number;
  readonly memoryMiB: number;
  readonly elapsedMs: number;
}

export interface EvalLine {
  readonly type: "eval";
  readonly step: number;
  /** By the papers' names: PSNR, SSIM, LPIPS. */
  readonly metrics: Readonly<Record<string, number | null>>;
  readonly protocol?: unknown;
  readonly elapsedMs: number;
}

export interface CheckpointLine {
  readonly type: "checkpoint";
  readonly step: number;
  readonly path: string;
}

/** What a reader should know of: weights taken over, a discriminator too strong, a rollback and why. */
export interface EventLine {
  readonly type: "event";
  readonly step: number;
  readonly kind: string;
  readonly text: string;
}

/** The lines of later steps than `toStep` above this one are void. */
export interface RollbackLine {
  readonly type: "rollback";
  readonly step: number;
  readonly toStep: number;
}

export interface EndLine {
  readonly type: "end";
  readonly state: "done" | "failed" | "interrupted";
  readonly step: number;
  readonly reason?: string;
  readonly elapsedMs: number;
}

export type LogLine =
  | RunLine
  | StepLine
  | EvalLine
  | CheckpointLine
  | EventLine
  | RollbackLine
  | EndLine;

/** 1, 2, or another recipe's name. */
export function stageOf({ config }: RunLine): number | string {
  return (config as { train?: { stage?: number | string } }).train?.stage ?? 1;
}

/** What a line says in numbers, by name: `loss`, `terms/mse`, `gauges/realLogit`, `eval/PSNR`; nothing for other lines. */
export function numbersOf(line: LogLine): Record<string, number | null> {
  if (line.type === "eval") return named("eval", line.metrics);
  if (line.type !== "step") return {};
  const { loss, lr, gradNorm, imagesPerSecond, dataWaitShare, memoryMiB, terms, gauges } = line;
  return {
    ...{ loss, lr, gradNorm, imagesPerSecond, dataWaitShare, memoryMiB },
    ...named("terms", terms),
    ...named("gauges", gauges ?? {}),
  };
}

function named(group: string, values: Readonly<Record<string, number | null>>) {
  return Object.fromEntries(Object.entries(values).map(([name, x]) => [`${group}/${name}`, x]));
}

const fileName = "run.jsonl";

/** Appends to a run's log. Each line is one write, so a killed process leaves at most one cut line. */
export class RunLog {
  readonly path: string;
  readonly #file: number;

  constructor(folder: string) {
    mkdirSync(folder, { recursive: true });
    this.path = join(folder, fileName);
    this.#file = openSync(this.path, "a+");
    // A line that a kill cut short is closed, so that the next one starts afresh.
    const text = readFileSync(this.path);
    if (text.length > 0 && text.at(-1) !== 10) writeSync(this.#file, "\n");
  }

  write(line: LogLine): void {
    writeSync(this.#file, `${JSON.stringify(line)}\n`);
  }

  close(): void {
    fsyncSync(this.#file);
    closeSync(this.#file);
  }
}

/** A run as its log tells it: sorted by step, with what a resume made void left out. */
export interface RunRecord {
  readonly folder: string;
  readonly run: RunLine;
  readonly steps: readonly StepLine[];
  readonly evals: readonly EvalLine[];
  readonly checkpoints: readonly CheckpointLine[];
  /** In the order they happened, what a rollback made void included. */
  readonly events: readonly EventLine[];
  readonly end?: EndLine;
  /** `unfinished`: there is no end line, so it runs still or was killed; see `updatedMs`. */
  readonly state: EndLine["state"] | "unfinished";
  /** When the log last grew, milliseconds since 1970. */
  readonly updatedMs: number;
}

/**
 * Reads a run's folder. Lines that do not parse (cut by a kill) are passed over, and of lines that
 * tell of the same step the later wins. Null where the folder holds no log with a first line.
 */
export function readRun(folder: string): RunRecord | null {
  const path = join(folder, fileName);
  const file = statSync(path, { throwIfNoEntry: false });
  if (!file?.isFile()) return null;
  const { run, end, steps, evals, checkpoints, events } = replay(readFileSync(path, "utf8"));
  if (!run) return null;
  return {
    folder,
    run,
    steps: inOrder(steps),
    evals: inOrder(evals),
    checkpoints: inOrder(checkpoints),
    events: [...events.values()],
    ...(end ? { end } : {}),
    state: end?.state ?? "unfinished",
    updatedMs: file.mtimeMs,
  };
}

function replay(text: string) {
  const steps = new Map<number, StepLine>();
  const evals = new Map<number, EvalLine>();
  const checkpoints = new Map<number, CheckpointLine>();
  const events = new Map<string, EventLine>(); // a resumed run tells again what it lives through again
  let run: RunLine | undefined;
  let end: EndLine | undefined;
  for (const line of text.split("\n").map(parseLine)) {
    if (line?.type === "step") steps.set(line.step, line);
    else if (line?.type === "eval") evals.set(line.step, line);
    else if (line?.type === "checkpoint") checkpoints.set(line.step, line);
    else if (line?.type === "event") events.set(`${line.step} ${line.kind} ${line.text}`, line);
    else if (line?.type === "rollback")
      for (const lines of [steps, evals, checkpoints]) dropAfter(lines, line.toStep);
    else if (line?.type === "end") end = line;
    else if (line?.type === "run") {
      const resumed = line.resumedAtStep !== undefined;
      run = run && resumed ? { ...line, startedAt: run.startedAt } : line;
      end = undefined;
      for (const lines of [steps, evals, checkpoints]) dropAfter(lines, line.resumedAtStep ?? -1);
    }
  }
  return { run, end, steps, evals, checkpoints, events };
}

function parseLine(text: string): LogLine | undefined {
  try {
    const line = JSON.parse(text);
    return typeof line === "object" && line !== null ? line : undefined;
  } catch {
    return undefined; // blank, or cut short by a kill
  }
}

function dropAfter(lines: Map<number, unknown>, last: number): void {
  for (const step of lines.keys()) if (step > last) lines.delete(step);
}

function inOrder<T extends { step: number }>(lines: Map<number, T>): T[] {
  return [...lines.values()].sort((a, b) => a.step - b.step);
}
