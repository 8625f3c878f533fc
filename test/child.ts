// Runs a program of test/children/ in a process of its own: a crash or a hang is then a result like any other.
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";

export interface ChildResult {
  /** null where a signal ended it. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export function runChild(
  name: string,
  args: readonly string[] = [],
  { nodeArgs = [], timeoutMs = 100_000 }: { nodeArgs?: string[]; timeoutMs?: number } = {},
): ChildResult {
  const path = fileURLToPath(new URL(`children/${name}.ts`, import.meta.url));
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [...nodeArgs, "--import", "tsx", path, ...args],
    { encoding: "utf8", timeout: timeoutMs, killSignal: "SIGKILL" },
  );
  return { status, signal, stdout, stderr };
}
