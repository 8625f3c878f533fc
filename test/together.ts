// Runs a program of test/children/ in several processes at once, as one group: what each printed and how it ended.
import { spawn } from "node:child_process";
import { fileURLToPath } from "node:url";
import { freePort } from "../src/train/launch.js";
import type { ChildResult } from "./child.js";

/** The environment of each process is torchrun's. Waits for all of them. */
export async function runTogether(
  name: string,
  count: number,
  { args = [], timeoutMs = 100_000 }: { args?: readonly string[]; timeoutMs?: number } = {},
): Promise<ChildResult[]> {
  const port = String(await freePort());
  const path = fileURLToPath(new URL(`children/${name}.ts`, import.meta.url));
  const runs = Array.from({ length: count }, (_, rank) => {
    const place = { RANK: String(rank), LOCAL_RANK: String(rank), WORLD_SIZE: String(count) };
    const child = spawn(process.execPath, ["--import", "tsx", path, ...args], {
      env: { ...process.env, ...place, MASTER_ADDR: "127.0.0.1", MASTER_PORT: port },
      timeout: timeoutMs,
      killSignal: "SIGKILL",
    });
    let [stdout, stderr] = ["", ""];
    child.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    return new Promise<ChildResult>((resolve) =>
      child.on("close", (status, signal) => resolve({ status, signal, stdout, stderr })),
    );
  });
  return Promise.all(runs);
}
