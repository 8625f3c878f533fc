// A run killed at any moment (SIGKILL) and resumed, and one stopped by SIGTERM and resumed, end bit-identical to a run that
// was never stopped: weights and optimizer, float32 on the CPU, one thread. Reference: the uninterrupted run itself.
import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { readRun } from "../src/train/log.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "vitok-resume-"));
const steps = 14;

interface Ended {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stderr: string;
}

/** Trains in a child process; `kill` is sent as soon as the log holds the given step. */
function trainIn(
  out: string,
  options: { resume?: boolean; kill?: { signal: NodeJS.Signals; atStep: number } } = {},
): Promise<Ended> {
  const sets = [
    ...[
      "model.variant=Tiw48d2h3-Tiw48d2h3/8",
      `train.steps=${steps}`,
      "train.logEvery=1",
      "train.saveEvery=4",
    ],
    ...[
      "train.evalEvery=5",
      "train.gridEvery=0",
      "train.threads=1",
      "evaluate.count=4",
      "evaluate.metrics=[psnr]",
    ],
    ...["train.batchSize=4", "train.accumulate=2", "data.path=drawn:train?count=10&size=32"],
  ];
  const line = [
    "dist/cli/main.js",
    "train",
    "configs/smoke.yaml",
    "--out",
    out,
    ...sets.flatMap((set) => ["--set", set]),
  ];
  const child = spawn(process.execPath, options.resume ? [...line, "--resume"] : line, {
    cwd: root,
  });
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const watch = setInterval(() => {
    const last = readRun(out)?.steps.at(-1)?.step ?? 0;
    if (!options.kill || last < options.kill.atStep) return;
    child.kill(options.kill.signal);
    clearInterval(watch); // a second signal would mean "at once"
  }, 5);
  return new Promise((resolve) => {
    child.on("close", (code, signal) => {
      clearInterval(watch);
      resolve({ code, signal, stderr });
    });
  });
}

const bytesOf = (out: string, file: string) =>
  readFileSync(join(out, "checkpoints", `step-${String(steps).padStart(7, "0")}`, file));

const whole = join(scratch, "whole");

beforeAll(async () => {
  expect(await trainIn(whole)).toMatchObject({ code: 0 });
});

afterAll(() => rmSync(scratch, { recursive: true, force: true }));

for (const atStep of [2, 6, 11])
  test(`a run killed after step ${atStep} and resumed ends bit-identical`, async () => {
    const out = join(scratch, `killed-${atStep}`);
    expect(await trainIn(out, { kill: { signal: "SIGKILL", atStep } })).toMatchObject({
      signal: "SIGKILL",
    });
    expect(await trainIn(out, { resume: true })).toMatchObject({ code: 0 });
    for (const file of ["model.safetensors", "optimizer.safetensors"])
      expect(bytesOf(out, file).equals(bytesOf(whole, file)), file).toBe(true);
    const [resumed, uninterrupted] = [out, whole].map((folder) => readRun(folder)!);
    expect(resumed!.steps.map(({ loss }) => loss)).toEqual(
      uninterrupted!.steps.map(({ loss }) => loss),
    );
  });

test("SIGTERM saves, says how to go on, and the resumed run ends bit-identical", async () => {
  const out = join(scratch, "stopped");
  const stopped = await trainIn(out, { kill: { signal: "SIGTERM", atStep: 5 } });
  expect(stopped.code).toBe(1);
  expect(stopped.stderr).toContain("--resume");
  expect(readRun(out)!.state).toBe("interrupted");
  expect(await trainIn(out, { resume: true })).toMatchObject({ code: 0 });
  expect(bytesOf(out, "model.safetensors").equals(bytesOf(whole, "model.safetensors"))).toBe(true);
});

test("a run is never overwritten, nor continued by another recipe", async () => {
  const again = await trainIn(whole);
  expect(again.code).toBe(1);
  expect(again.stderr).toContain("--resume");
});
