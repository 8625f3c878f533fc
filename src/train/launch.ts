// `--nproc N`: starts the processes of one machine with torchrun's environment, passes signals on, and tells the user when one is
// lost. Where RANK and WORLD_SIZE are set already, as by a cluster's job, they count machines. No engine is loaded here.
import { type ChildProcess, spawn } from "node:child_process";
import { createServer } from "node:net";
import { availableParallelism } from "node:os";
import { ConfigError } from "../config-error.js";
import { launcherVariable } from "./liveness.js";

export interface LaunchOptions {
  /** Processes on this machine. */
  readonly count: number;
  /** The program and its arguments, for node. */
  readonly line: readonly string[];
  /** How to go on after a process was lost. */
  readonly resumeCommand: string;
  readonly log: (text: string) => void;
}

interface Ended {
  readonly rank: number;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** After the first has failed, the others find out by themselves; those that do not are killed. */
const graceMs = 20_000;

/** Resolves to the exit status: 0 where every process ended well. */
export async function launch({ count, line, resumeCommand, log }: LaunchOptions): Promise<number> {
  const environments = await environmentsOf(count, process.env);
  const children = environments.map((env) => start(line, env));
  const release = passSignals(children.map(({ child }) => child));
  const running = new Set(children);
  let first: Ended | undefined;
  let lost: Ended | undefined; // by a signal not of ours: the cause, though on a GPU it may be the last to be gone
  let killing: NodeJS.Timeout | undefined;
  let isKilling = false;
  await Promise.all(
    children.map(async (item) => {
      const ended = await item.ended;
      running.delete(item);
      if (ended.signal && !isKilling) lost ??= ended;
      if (first || (ended.code === 0 && !ended.signal)) return;
      first = ended;
      killing = setTimeout(() => {
        isKilling = true;
        for (const { child } of running) child.kill("SIGKILL");
      }, graceMs);
    }),
  );
  clearTimeout(killing);
  release();
  if (!first) return 0;
  if (first.stderr) log(first.stderr.trimEnd());
  if (lost)
    log(
      `Process ${lost.rank} was ended by ${lost.signal}, so the run stopped. ` +
        `Go on from its last checkpoint with:\n  ${resumeCommand}`,
    );
  return 1;
}

/** In a process that `launch` started: how many it started; undefined elsewhere. */
export function launchedCount(): number | undefined {
  return process.env[launcherVariable] ? Number(process.env.LOCAL_WORLD_SIZE) : undefined;
}

/** Rank 0 speaks for all: the others' stdout goes nowhere, and their stderr is kept for the case that one fails. */
function start(line: readonly string[], env: NodeJS.ProcessEnv) {
  const rank = Number(env.RANK);
  const isSpeaker = rank === 0;
  const child = spawn(process.execPath, [...process.execArgv, ...line], {
    env,
    stdio: isSpeaker ? "inherit" : ["ignore", "ignore", "pipe"],
    detached: true, // Ctrl-C reaches this process alone, and is passed on once
  });
  let stderr = "";
  child.stderr?.on("data", (chunk) => {
    stderr = (stderr + chunk).slice(-20_000);
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once("error", (error) => resolve({ rank, code: 1, signal: null, stderr: error.message }));
    child.once("close", (code, signal) => resolve({ rank, code, signal, stderr }));
  });
  return { child, ended };
}

function passSignals(children: readonly ChildProcess[]): () => void {
  const pass = (name: NodeJS.Signals) => {
    for (const child of children) child.kill(name);
  };
  process.on("SIGINT", pass).on("SIGTERM", pass);
  return () => void process.off("SIGINT", pass).off("SIGTERM", pass);
}

/** @throws ConfigError where the machine's own place is told in part */
export async function environmentsOf(
  count: number,
  env: NodeJS.ProcessEnv,
): Promise<NodeJS.ProcessEnv[]> {
  const machines = Number(env.WORLD_SIZE ?? 1);
  const machine = Number(env.RANK ?? 0);
  if (machines > 1 && !(env.RANK && env.MASTER_ADDR && env.MASTER_PORT))
    throw new ConfigError(
      `Expected RANK, MASTER_ADDR and MASTER_PORT beside WORLD_SIZE=${machines}, received only some. ` +
        "With --nproc they count machines; unset WORLD_SIZE for this machine alone.",
    );
  const isAlone = machines === 1;
  const threads = Math.max(1, Math.floor(availableParallelism() / count));
  const shared = {
    OMP_NUM_THREADS: String(threads),
    ...env,
    WORLD_SIZE: String(machines * count),
    LOCAL_WORLD_SIZE: String(count),
    MASTER_ADDR: isAlone ? "127.0.0.1" : env.MASTER_ADDR,
    MASTER_PORT: isAlone ? String(await freePort()) : env.MASTER_PORT,
    [launcherVariable]: String(process.pid),
  };
  return Array.from({ length: count }, (_, index) => ({
    ...shared,
    RANK: String(machine * count + index),
    LOCAL_RANK: String(index),
  }));
}

/** A port that nobody listens on now. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject);
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as { port: number };
      server.close(() => resolve(port));
    });
  });
}
