// Trains two processes with `vitok train --nproc 2` and, where it is asked for, ends one of them with SIGKILL in the midst.
// For test/processes.test.ts and scripts/kill-and-resume.ts.
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { readRun } from "../src/train/log.js";

const root = fileURLToPath(new URL("..", import.meta.url));

export interface Kill {
  /** Which process: the one that started the others, or one of these. */
  readonly whom: "launcher" | 0 | 1;
  /** As soon as the log holds this step, or so long after the start. */
  readonly atStep?: number;
  readonly afterMs?: number;
}

export interface TrainTogetherOptions {
  readonly steps: number;
  readonly resume?: boolean;
  readonly kill?: Kill;
  readonly settings?: readonly string[];
}

export interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
  /** Processes that were started, the launcher left out. */
  readonly children: readonly number[];
}

/** Starts the run and resolves when the launcher has ended. */
export function trainTogether(
  out: string,
  { steps, resume = false, kill, settings = [] }: TrainTogetherOptions,
): Promise<Ended> {
  const sets = [
    ...["model.variant=Tiw48d2h3-Tiw48d2h3/8", `train.steps=${steps}`, "train.logEvery=1"],
    ...["train.saveEvery=4", "train.evalEvery=6", "train.gridEvery=0", "train.threads=1"],
    ...["evaluate.count=8", "evaluate.batchSize=4", "evaluate.metrics=[psnr]", "train.batchSize=4"],
    ...["data.path=drawn:train?count=10&size=32", ...settings],
  ];
  const line = ["dist/cli/main.js", "train", "configs/smoke.yaml", "--out", out, "--nproc", "2"];
  const child = spawn(
    process.execPath,
    [...line, ...sets.flatMap((set) => ["--set", set]), ...(resume ? ["--resume"] : [])],
    { cwd: root, stdio: ["ignore", "ignore", "pipe"] },
  );
  let stderr = "";
  let children: number[] = [];
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const startedMs = performance.now();
  const watch = setInterval(() => {
    if (children.length < 2) children = childrenOf(child.pid!);
    if (!kill || children.length < 2) return;
    const { whom, atStep = 0, afterMs = 0 } = kill;
    if (atStep && (readRun(out)?.steps.at(-1)?.step ?? 0) < atStep) return;
    if (performance.now() - startedMs < afterMs) return;
    clearInterval(watch);
    end(whom === "launcher" ? child.pid! : children[whom]!);
  }, 5);
  return new Promise((resolve) =>
    child.on("close", (code, signal) => {
      clearInterval(watch);
      resolve({ code, signal, stderr, children });
    }),
  );
}

function end(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // it was done already
  }
}

/** In the order in which they were started. Linux only. */
function childrenOf(pid: number): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);
  } catch {
    return [];
  }
}

/** Whether a process is gone. */
export function isGone(pid: number): boolean {
  try {
    return / [ZX] /.test(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return true;
  }
}
