// The table that scripts/gpu/ratios.mjs makes of a GPU run's lines: hand-made lines, exact text.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const script = fileURLToPath(new URL("../scripts/gpu/ratios.mjs", import.meta.url));

test("runs are averaged by side; trials, plain ways and failures are left out", () => {
  const folder = mkdtempSync(join(tmpdir(), "vitok-ratios-"));
  const write = (name: string, lines: object[]) =>
    writeFileSync(join(folder, name), lines.map((line) => JSON.stringify(line)).join("\n"));
  write("speed.mjs.jsonl", [
    { case: "train", way: "graph", imgPerSecond: 2000 },
    { case: "train", way: "graph", imgPerSecond: 2200 },
    { case: "train", way: "graph", imgPerSecond: 9000, SELF_ATTENTION: "256" },
    { case: "train", way: "plain", imgPerSecond: 900 },
    { case: "encode", way: "graph", imgPerSecond: 18000 },
    { case: "large", way: "graph", error: "out of memory" },
  ]);
  write("anchor-clip.jsonl", [
    { torch: "train", compiled: true, imgPerSecond: 1750 },
    { torch: "train-eager", compiled: false, imgPerSecond: 850 },
    { torch: "large", error: "no result in time" },
  ]);
  write("anchor.jsonl", [
    { torch: "2.11.0", device: "H100" },
    { name: "infer", case: "infer", model: "vitok", compiled: true, encode_img_s: 15000 },
    { name: "sdvae", case: "infer", model: "sdvae", compiled: true, encode_img_s: 400 },
  ]);
  const { stdout, stderr } = spawnSync(process.execPath, [script, folder], { encoding: "utf8" });
  rmSync(folder, { recursive: true });
  expect(stderr).toBe("");
  expect(stdout.trimEnd().split("\n").slice(2)).toEqual([
    "| step, S-B/16 | 2,100 | 1,750 | 850 | 1.20 |",
    "| encode, S-B/16 | 18,000 | 15,000 |  | 1.20 |",
  ]);
});
