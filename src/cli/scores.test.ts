// evaluate, metrics and compare as a user meets them: keys of the contract, exit codes, words of refusals.
// The partial Inception and the SqueezeNet of ../shared/weights are used where they are.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { drawnSource } from "../data/drawn-source.js";
import { writeImage } from "../media/image.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";

const mainPath = fileURLToPath(new URL("main.ts", import.meta.url));
const weights = fileURLToPath(new URL("../../../shared/weights", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "vitok-scores-"));
const model = join(folder, "model");
const data = "drawn:val?count=6&size=32";

function vitok(line: string[], env: Record<string, string> = {}) {
  const child = spawnSync(process.execPath, ["--import", "tsx", mainPath, ...line], {
    encoding: "utf8",
    env: { ...process.env, NO_COLOR: "1", FORCE_COLOR: "", VITOK_WEIGHTS: folder, ...env },
  });
  return { status: child.status, stdout: child.stdout, stderr: child.stderr };
}

beforeAll(async () => {
  const tokenizer = Tokenizer.create("Tiw48d1-Tiw48d1/1x8x4", { seed: 2 });
  tokenizer.save(model, { provenance: { size: 32 } });
  tokenizer.dispose();
  const drawn = drawnSource({ count: 3, size: 32 });
  for (let i = 0; i < 3; i++)
    await writeImage(join(folder, "pictures", `${i}.png`), await drawn.load(i));
});

describe("vitok evaluate and compare", () => {
  it("write scores that compare with those of the same protocol alone", () => {
    const [a, b, c] = ["a", "b", "c"].map((name) => join(folder, name));
    const evaluate = (out: string, ...more: string[]) =>
      vitok([
        "evaluate",
        model,
        "--data",
        data,
        "--device",
        "cpu",
        "--out",
        out,
        "--json",
        ...more,
      ]);
    const report = JSON.parse(evaluate(a!).stdout);
    expect(report).toMatchObject({
      metrics: { PSNR: expect.any(Number), SSIM: expect.any(Number) },
      protocol: { name: "standard", count: 6, size: 32, rounding: "nearest uint8" },
      artefacts: { grid: { period: 8 }, nonFinite: 0 },
    });
    expect(JSON.parse(readFileSync(join(a!, "scores.json"), "utf8"))).toEqual(report);
    expect(readdirSync(a!)).toEqual(["scores.json"]);

    expect(evaluate(b!, "--batch-size", "2").status).toBe(0);
    const alike = vitok(["compare", join(a!, "scores.json"), join(b!, "scores.json"), "--json"]);
    expect(alike.status).toBe(0);
    expect(JSON.parse(alike.stdout).scores[0]).toMatchObject({ name: "PSNR" });

    expect(evaluate(c!, "--protocol", "vitok-paper").status).toBe(0);
    const unlike = vitok(["compare", join(a!, "scores.json"), join(c!, "scores.json")]);
    expect({ status: unlike.status, stdout: unlike.stdout }).toEqual({ status: 1, stdout: "" });
    expect(unlike.stderr).toContain('name: "standard" and "vitok-paper"');
    expect(unlike.stderr).toContain('rounding: "nearest uint8" and "truncated to uint8"');
  });

  it.each([
    [2, ["evaluate", model, "--data", data, "--metrics", "psnr,fud"], 'received "fud"'],
    [2, ["evaluate", model, "--data", data, "--resume"], "Expected --out with --resume"],
    [2, ["evaluate", model, "--data", data, "--protocol", "own"], "standard or vitok-paper"],
    [1, ["evaluate", model, "--data", data, "--metrics", "fid"], "weights of"],
    [1, ["compare", join(model, "config.json"), "x"], "Expected metrics and protocol"],
    [1, ["compare", "none.json", "x"], "Expected a file of scores for none.json"],
    [2, ["metrics", "--real", folder], "--save-stats"],
    [1, ["metrics", "--real", "a.tar", "--fake", "b.tar"], "a.tar"],
    [1, ["metrics", "--real", model, "--fake", model], "received 1 .json, 1 .safetensors"],
  ])("exit with %i for %j", (status, line, message) => {
    const result = vitok(line as string[]);
    expect(result.stderr).toContain(message);
    expect(result.status).toBe(status);
  });
});

describe("vitok metrics", () => {
  const pictures = join(folder, "pictures");

  it("scores a folder against itself", () => {
    const { status, stdout } = vitok(["metrics", "--real", pictures, "--fake", pictures, "--json"]);
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      metrics: { PSNR: 100, SSIM: 1 },
      protocol: { name: "standard", set: "pictures", fake: "pictures", count: 3 },
    });
  });

  it.skipIf(!existsSync(weights))("takes features from a partial Inception (../shared)", () => {
    const env = { VITOK_WEIGHTS: weights };
    const stats = join(folder, "stats.npz");
    const fid = ["--metrics", "fid", "--device", "cpu"];
    const whole = vitok(["metrics", "--real", pictures, "--save-stats", stats, ...fid], env);
    expect(whole.status).toBe(1);
    expect(whole.stderr).toMatch(/the 2048 tap.*covers 64, 192, 768.*use --fid-tap 768/s);
    const tap = [...fid, "--fid-tap", "64"];
    expect(vitok(["metrics", "--real", pictures, "--save-stats", stats, ...tap], env).status).toBe(
      0,
    );
    const line = ["metrics", "--real", stats, "--fake", pictures, ...tap, "--json"];
    const { stdout, stderr } = vitok(line, env);
    expect(JSON.parse(stdout).metrics).toEqual({ "FID-64": expect.closeTo(0, 4) });
    expect(stderr).toContain("3 samples for 64 features");
  });

  it.skipIf(!existsSync(weights))("refuses damaged weights by name (../shared)", () => {
    const damaged = join(folder, "damaged.safetensors");
    const source = join(weights, "inception_2015_folded_partial.safetensors");
    writeFileSync(damaged, readFileSync(source).subarray(0, 1_000_000));
    const line = ["metrics", "--real", pictures, "--fake", pictures, "--metrics", "fid"];
    const { status, stderr } = vitok([...line, "--inception", damaged]);
    expect(status).toBe(1);
    expect(stderr).toContain("damaged.safetensors");
  });
});
