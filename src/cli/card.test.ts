// A trained run to a folder that can be shared: export in half precision, evaluate, card; as a user would, line by line.
// Reference: the run's weights, rounded to float16 here (exact), and the scores that evaluate wrote.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parameters, stateDict } from "../nn/parameters.js";
import { readSafetensors } from "../nn/safetensors.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { scope } from "../torch/index.js";
import { RunLog } from "../train/log.js";

const mainPath = fileURLToPath(new URL("main.ts", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "vitok-card-"));
const here = (name: string) => join(scratch, name);
afterAll(() => rmSync(scratch, { recursive: true }));

function vitok(...line: string[]) {
  const env = { ...process.env, NO_COLOR: "1", FORCE_COLOR: "" };
  const child = spawnSync(process.execPath, ["--import", "tsx", mainPath, ...line], {
    encoding: "utf8",
    env,
  });
  return { status: child.status, stdout: child.stdout, stderr: child.stderr };
}

const tokenizer = Tokenizer.create("Tiw48d1-Tiw48d2/1x8x4", { seed: 3 });
afterAll(() => tokenizer.dispose());
const card = () => readFileSync(here("small/README.md"), "utf8");

beforeAll(() => {
  const provenance = { size: 32, steps: 9, data: "/home/someone/photos" };
  tokenizer.save(here("run/model"), { provenance });
  const log = new RunLog(here("run"));
  const config = { train: { stage: 1, peakLr: 3e-4 }, data: { path: "/home/someone/photos" } };
  log.write({
    ...{ type: "run", variant: tokenizer.name, config, version: "0.1.0", seed: 5, device: "cpu" },
    ...{ engine: "libtorch 2.13", cores: 2, command: "vitok train", startedAt: "" },
  });
  log.write({ type: "end", state: "done", step: 9, elapsedMs: 90_000 });
  log.close();
  const line = ["export", here("run"), "--format", "safetensors", "--precision", "float16"];
  const { status, stderr, stdout } = vitok(...line, "--out", here("small"), "--json");
  expect(status, stderr).toBe(0);
  const { worst, parity } = JSON.parse(stdout);
  expect(parity).toHaveLength(1);
  expect(worst).toBeGreaterThan(0); // weights were rounded
});

describe("the exported folder", () => {
  test("holds the run's weights rounded to half precision, and is read by who asks for float32", async () => {
    const loaded = await Tokenizer.load(here("small"));
    scope(() => {
      const stored = readSafetensors(here("small/model.safetensors"));
      const own = stateDict(tokenizer);
      expect(Object.keys(stored).sort()).toEqual(Object.keys(own).sort());
      for (const [name, weight] of parameters(loaded)) {
        expect(stored[name]!.dtype).toBe("float16");
        const rounded = own[name]!.to({ dtype: "float16" });
        expect(stored[name]!.toBytes(), name).toEqual(rounded.toBytes());
        expect(weight.dtype).toBe("float32");
        expect(weight.toArray(), name).toEqual(rounded.toArray());
      }
    });
    loaded.dispose();
  });

  test("tells where it comes from, and not on whose machine", () => {
    const config = readFileSync(here("small/config.json"), "utf8");
    expect(JSON.parse(config).provenance).toEqual({ size: 32, steps: 9, data: "photos" });
    expect(config).not.toContain("someone");
  });
});

describe("its card", () => {
  const evaluate = (model: string, out: string) =>
    vitok("evaluate", model, "--data", "drawn:val?count=3&size=32", "--out", out, "--json");

  test("says what it is, its scores and its training", () => {
    const scores = JSON.parse(evaluate(here("small"), here("scores")).stdout);
    const { status, stderr } = vitok(
      ...["card", here("small"), "--run", here("run"), "--license", "apache-2.0"],
      ...["--scores", here("scores/scores.json"), "--about", "For tests only."],
    );
    expect(status, stderr).toBe(0);
    const text = card();
    expect(text).toMatch(/^---\nlibrary_name: vitok\nlicense: apache-2\.0\n/);
    expect(text).toContain("`Tiw48d1-Tiw48d2/1x8x4`");
    expect(text).toContain("For tests only.");
    expect(text).toMatch(/\| parameters \| encoder \d.*; float16, 0\.\d MB \|/);
    const { PSNR, SSIM } = scores.metrics;
    expect(text).toContain(`| 3 | 32 px | ${PSNR.toFixed(2)} | ${SSIM.toFixed(4)} |`);
    expect(text).toContain("rounding: nearest uint8");
    expect(text).toContain("Stage 1: 9 steps on photos; 1.5 minutes on cpu; seed 5");
    expect(text).toContain("peakLr: 0.0003");
    expect(text).not.toContain("someone");
  });

  test("takes no scores of other weights", () => {
    evaluate(here("run"), here("others"));
    const before = card();
    const { status, stderr } = vitok("card", here("small"), "--scores", here("others/scores.json"));
    expect(status).toBe(1);
    expect(stderr).toContain("Expected scores of these weights");
    expect(card()).toBe(before);
  });
});

test("a weight that half precision cannot hold is named, and nothing is written", () => {
  const large = Tokenizer.create("Tiw48d1-Tiw48d1/1x8x4", { seed: 3 });
  scope(() => large.encoder.norm.weight.detach().mul_(1e6));
  large.save(here("large"));
  large.dispose();
  const line = ["export", here("large"), "--format", "safetensors", "--precision", "float16"];
  const { status, stderr } = vitok(...line, "--out", here("none"));
  expect(status).toBe(1);
  expect(stderr).toContain("Expected finite numbers in encoder.norm.weight");
  expect(existsSync(here("none"))).toBe(false);
});
