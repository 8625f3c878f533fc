// Stage 2 and a generator in two processes over Gloo against one with the same global batch, float32 on the CPU, by the command
// line: weights and averages after six steps within 1e-5, as the relative L2 norm of the difference; losses within 1e-5, relative.
// Stage 1: data-parallel.test.ts. Reference: the one process.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { readRun } from "../src/train/log.js";
import { relativeDifference } from "./relative-difference.js";

vi.setConfig({ testTimeout: 300_000, hookTimeout: 300_000 }); // a machine that is busy with other things

const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "vitok-stages-"));
const first = join(scratch, "first");
const data = "drawn:train?count=32&size=32";
const variant = "Tiw24d1h2-Tiw24d1h2/8";
const steps = 6;

beforeAll(() => {
  const tokenizer = Tokenizer.create(variant, { seed: 1 });
  tokenizer.save(join(first, "model"), { provenance: { size: 32 } }); // as a run leaves it
  tokenizer.dispose();
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

function vitok(...args: string[]): void {
  const env = { ...process.env, OMP_NUM_THREADS: "1" };
  const line = [join(root, "dist/cli/main.js"), ...args];
  const { status, stderr } = spawnSync(process.execPath, line, {
    ...{ encoding: "utf8", cwd: root, env, timeout: 200_000 },
  });
  expect(status, stderr).toBe(0);
}

/** The same run in one process and in two: losses of each step, and how far apart their last checkpoints are. */
function compare(name: string, config: string, own: readonly string[], files: readonly string[]) {
  const common = [
    ...["data.size=32", `train.steps=${steps}`, "train.batchSize=4", "train.accumulate=1"],
    ...["train.precision=float32", "train.logEvery=1", "train.evalEvery=0", "train.gridEvery=0"],
    ...["device=cpu", "train.peakLr=1e-3", "train.warmupSteps=0"],
  ];
  const settings = [...common, ...own].flatMap((set) => ["--set", set]);
  const [one, two] = [1, 2].map((count) => {
    const out = join(scratch, `${name}-${count}`);
    vitok("train", `configs/${config}.yaml`, "--out", out, "--nproc", `${count}`, ...settings);
    return { losses: readRun(out)!.steps.map(({ loss }) => loss), out };
  });
  expect(one!.losses).toHaveLength(steps);
  one!.losses.forEach((loss, step) => {
    expect(Math.abs(two!.losses[step]! / loss! - 1), `step ${step}`).toBeLessThan(1e-5);
  });
  const [ours, reference] = [two, one].map((run) => join(run!.out, "checkpoints/step-0000006"));
  for (const file of files)
    expect(relativeDifference(ours!, reference!, file), file).toBeLessThan(1e-5);
}

test("stage 2 in two processes computes what one computes, discriminator and average with it", () => {
  const own = [
    ...[`model.variant=${variant}`, `train.from=${first}`, `data.path=${data}`],
    ...["evaluate.data=drawn:val?count=4&size=32", "evaluate.count=4", "gan.width=0.016"],
    ...["gan.waitSteps=1", "gan.rampSteps=2", "gan.warmupSteps=1"],
  ];
  compare("stage2", "ti-64-stage2", own, ["model", "ema", "discriminator"]);
});

test("a generator in two processes computes what one computes", () => {
  const latents = join(scratch, "latents");
  vitok("encode", join(first, "model"), "--data", data, "--out", latents, "--size", "32");
  const own = [
    ...["generator.variant=DiT-Sw24d1h2", `generator.tokenizer=${first}`],
    `data.path=${latents}`,
  ];
  compare("generator", "dit-s-64", own, ["model", "ema"]);
});
