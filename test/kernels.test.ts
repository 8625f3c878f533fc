// The CUDA kernels without a GPU: test/emulator/ runs their threads on the host, and the same checks that run on a GPU
// (scripts/gpu/kernels/) compare outputs and gradients with the plain twins: 1e-4 in float32, 1e-2 in bfloat16.
// And a run that learns on kernels, with the step that runs ahead, against one on libtorch's operators, alone and as two processes
// over Gloo, each with all of the optimizer or its share: losses, and weights and the optimizer's state as the relative L2 norm
// of the difference, within 1e-5.
// Emulation shows whether the arithmetic and the indices are right; not races between blocks, and no speed.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

import { relativeDifference } from "./relative-difference.js";

const root = fileURLToPath(new URL("..", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "vitok-emulator-"));
const runner = join(folder, "emulator.so");
const isLinux = process.platform === "linux";

beforeAll(() => {
  if (!isLinux) return;
  const source = join(root, "test/emulator/emulator.cc");
  const compiler = process.env.CXX ?? "c++";
  execFileSync(compiler, ["-std=c++20", "-O1", "-shared", "-fPIC", "-o", runner, source]);
});
afterAll(() => rmSync(folder, { recursive: true }));

interface Check {
  readonly check: string;
  readonly ok: boolean;
  readonly errors?: Record<string, number>;
  readonly error?: string;
}

function emulate(args: readonly string[]) {
  return spawnSync(process.execPath, args, {
    encoding: "utf8",
    env: {
      ...process.env,
      VITOK_KERNEL_RUNNER: runner,
      VITOK_EMULATOR: join(root, "test/emulator"),
      VITOK_CACHE: folder, // compiled kernels are of this run only
      VITOK_DEVICE: "cpu",
      VITOK_DIST: pathToFileURL(join(root, "dist/")).href,
    },
  });
}

function check(name: string): Check[] {
  const child = emulate([join(root, "scripts/gpu/kernels.mjs"), name]);
  const lines = child.stdout.split("\n").filter((line) => line.startsWith("{"));
  if (!lines.length) throw new Error(`Expected checks of ${name}, received: ${child.stderr}`);
  return lines.map((line) => JSON.parse(line) as Check);
}

describe.skipIf(!isLinux)("a kernel gives its twin's outputs and gradients:", () => {
  test.each([
    "add-norm",
    "gated-silu",
    "modulate",
    "rotate-split",
    "attention",
    "unit-distance",
    "boxes",
    "bytes",
    "gaussian",
    "quantise",
    "similarity",
    "inception",
    "inference",
    "adamw",
  ])("%s", { timeout: 300_000 }, (name) => {
    const checks = check(name);
    expect(checks.filter(({ ok }) => !ok)).toEqual([]);
    expect(checks.length).toBeGreaterThan(0);
  });
});

describe.skipIf(!isLinux)("a run on kernels", () => {
  const recipe = join(folder, "recipe.yaml");
  let fused: string;
  const lossesOf = (out: string) =>
    readFileSync(join(out, "run.jsonl"), "utf8")
      .split("\n")
      .flatMap((line) => (line ? [JSON.parse(line)] : []))
      .filter(({ type }) => type === "step")
      .map(({ step, loss, gradNorm }) => ({ step, loss, gradNorm }));
  function train(name: string, ...more: string[]) {
    const out = join(folder, name);
    const child = emulate([join(root, "dist/cli/main.js"), "train", recipe, "--out", out, ...more]);
    expect(child.status, child.stderr).toBe(0);
    return out;
  }

  beforeAll(() => {
    const sections = {
      model: { variant: "Tiw32d1h2-Tiw32d1h2/8", maskable: true },
      data: { path: "drawn:train?count=32&size=16", size: 16 },
      losses: { lpips: 0 },
      train: {
        ...{
          steps: 8,
          batchSize: 4,
          accumulate: 2,
          peakLr: 1e-3,
          precision: "float32",
          minKeep: 2,
        },
        ...{ logEvery: 1, evalEvery: 0, saveEvery: 4, gridEvery: 0 },
      },
      evaluate: { data: "drawn:val?count=2&size=16", count: 2 },
    };
    writeFileSync(recipe, JSON.stringify(sections)); // YAML holds JSON
    fused = train("fused");
  }, 120_000);

  function compare(out: string, reference: string) {
    const [actual, expected] = [lossesOf(out), lossesOf(reference)];
    expect(actual).toHaveLength(8);
    for (const [i, { step, loss, gradNorm }] of expected.entries()) {
      expect(actual[i]!.step).toBe(step);
      expect(Math.abs(actual[i]!.loss / loss - 1)).toBeLessThan(1e-5);
      expect(Math.abs(actual[i]!.gradNorm / gradNorm - 1)).toBeLessThan(1e-5);
    }
  }

  /** Takes the end away, and lets the run go on from its checkpoint at step 4. */
  function resume(out: string, ...more: string[]) {
    rmSync(join(out, "model"), { recursive: true });
    rmSync(join(out, "checkpoints/step-0000008"), { recursive: true });
    train(basename(out), "--resume", ...more);
  }
  const weightsOf = (out: string) => readFileSync(join(out, "model/model.safetensors"));

  let plain = "";
  test("has the losses and gradients of one without, and goes on from its checkpoint bit for bit", {
    timeout: 300_000,
  }, () => {
    plain = train("plain", "--set", "train.kernels=off");
    compare(fused, plain);
    const before = weightsOf(fused);
    resume(fused);
    expect(weightsOf(fused).equals(before)).toBe(true);
  });

  test("is the same over two processes, also where it goes on with a share of the optimizer each", {
    timeout: 300_000,
  }, () => {
    const together = ["--nproc", "2", "--set", "train.accumulate=1"];
    const two = train("two", ...together);
    compare(two, plain);
    const [step, other] = [two, plain].map((run) => join(run, "checkpoints/step-0000008"));
    const expectSame = () => {
      for (const name of ["model", "optimizer"])
        expect(relativeDifference(step!, other!, name)).toBeLessThan(1e-5);
    };
    expectSame();
    resume(two, ...together, "--set", "train.shardOptimizer=true");
    expectSame();
  });

  test("is evaluated in 8-bit floats, which its scores say, near those of bfloat16", {
    timeout: 120_000,
  }, () => {
    const [low, lowest] = ["bfloat16", "float8"].map((precision) => {
      const data = ["--data", "drawn:val?count=2&size=16", "--precision", precision, "--json"];
      const child = emulate([join(root, "dist/cli/main.js"), "evaluate", fused, ...data]);
      expect(child.status, child.stderr).toBe(0);
      return JSON.parse(child.stdout);
    });
    expect(lowest.protocol.dtype).toBe("float8");
    expect(lowest.metrics.PSNR).not.toBe(low.metrics.PSNR);
    expect(Math.abs(lowest.metrics.PSNR - low.metrics.PSNR)).toBeLessThan(0.5);
  });
});
