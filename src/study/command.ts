// One step as a `vitok` command in a process of its own: a crash, a kill or a lack of memory costs that step alone.
import { type ChildProcess, spawn } from "node:child_process";
import { appendFileSync, mkdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { stringify } from "yaml";
import { writeFileAtomic } from "../atomic-file.js";
import { recipeOf, type Step } from "./plan.js";
import type { Store } from "./store.js";

/** What a command runs on: the device by its name for `--device`, and what its environment has besides. */
export interface Slot {
  readonly name: string;
  readonly device: string;
  readonly env: Readonly<Record<string, string>>;
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  /** The object that `--json` prints; undefined where there is none. */
  readonly result: Readonly<Record<string, unknown>> | undefined;
  readonly stderr: string;
}

export interface RunningCommand {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

export interface CommandOptions {
  readonly slot: Slot;
  /** Processes of a training. */
  readonly nproc?: number | undefined;
  /** The last line that the command wrote. */
  readonly onLine?: (line: string) => void;
}

/** Enough for the reason of a failure. */
const keptCharacters = 8000;

/** The command line of a step, without `vitok`. Writes the recipe of a training into the step's folder. */
export function commandOf(step: Step, store: Store, { slot, nproc }: CommandOptions): string[] {
  const out = store.output(step.key);
  const common = ["--device", slot.device, "--json"];
  if (step.kind === "train") {
    const recipe = { ...recipeOf(step, (key) => store.output(key)), device: slot.device };
    const path = join(store.folder(step.key), "recipe.yaml");
    writeFileAtomic(path, `# ${step.title}\n${stringify(recipe)}`);
    const processes = nproc && nproc > 1 ? ["--nproc", String(nproc)] : [];
    return ["train", path, "--out", out, "--resume", "--json", ...processes];
  }
  const { size, frames, fps, path } = step.data;
  const clips = frames > 1 ? ["--frames", String(frames), "--fps", String(fps)] : [];
  const model = store.output(step.model);
  if (step.kind === "encode") {
    const flip = step.data.flip ? [] : ["--no-flip"];
    const shape = ["--size", String(size), ...clips, ...flip];
    return [
      "encode",
      model,
      "--data",
      path,
      "--out",
      out,
      "--batch-size",
      "64",
      ...shape,
      ...common,
    ];
  }
  const options = Object.entries({
    ...(step.isGenerator ? {} : { size }),
    ...step.scoring.options,
  });
  const words = options.flatMap(([name, value]) => [
    `--${name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`,
    Array.isArray(value) ? value.join(",") : String(value),
  ]);
  const files = step.isGenerator ? [] : ["--pictures", join(out, "pictures"), "--resume"];
  return ["evaluate", model, ...words, ...clips, "--out", out, ...files, ...common];
}

/** Starts a step. Its stderr goes to log.txt in its folder. */
export function startCommand(step: Step, store: Store, options: CommandOptions): RunningCommand {
  const log = join(store.folder(step.key), "log.txt");
  mkdirSync(dirname(log), { recursive: true });
  const line = commandOf(step, store, options);
  appendFileSync(log, `$ vitok ${line.join(" ")}\n`);
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1]!, ...line], {
    env: { ...process.env, ...options.slot.env },
    stdio: ["ignore", "pipe", "pipe"],
    detached: true, // Ctrl-C reaches the runner alone, and is passed on once
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (chunk) => {
    stdout += chunk;
  });
  child.stderr.on("data", (chunk) => {
    appendFileSync(log, chunk);
    stderr = (stderr + chunk).slice(-keptCharacters);
    const last = stderr.trimEnd().split("\n").at(-1);
    if (last) options.onLine?.(last);
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once("error", ({ message }) =>
      resolve({ code: 1, signal: null, result: undefined, stderr: message }),
    );
    child.once("close", (code, signal) => resolve({ code, signal, result: parse(stdout), stderr }));
  });
  return { child, ended };
}

function parse(text: string): Readonly<Record<string, unknown>> | undefined {
  try {
    return JSON.parse(text) as Readonly<Record<string, unknown>>;
  } catch {
    return undefined; // it ended before it had anything to report
  }
}
