// `vitok study` from the outside: a study killed in the middle goes on where it was, a cell that fails is recorded while the others
// finish, and results, figures and page are there. Drawn pictures on the CPU; no reference but the contract.
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, it } from "vitest";
import type { StudyResults } from "../study/conclude.js";

const main = fileURLToPath(new URL("main.ts", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "vitok-study-"));
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const file = join(scratch, "tiny.yaml");
writeFileSync(
  file,
  `title: A tiny study
paper: { place: figure 3, points: fig3 }
question: Does it run?
recipe:
  model: { variant: "Tiw24d1h1-Tiw24d1h1/1x{p}x{c}" }
  data: { path: "drawn:train?count=32&size=16", size: 16 }
  losses: { lpips: 0 }
  train: { steps: 240, batchSize: 8, peakLr: 1.0e-3, precision: float32, threads: 1, saveEvery: 20 }
evaluate: { data: "drawn:val?count=8&size=16", metrics: [psnr, ssim], batchSize: 8 }
scales:
  paper: { about: none }
  small: { about: seconds }
cells:
  - { each: { p: [8], c: [2, 8] } }
  - { values: { p: 4, c: 4 }, recipe: { data: { path: ${join(scratch, "nowhere")} } } }
findings: [{ test: log-linear, claim: E predicts, metrics: [PSNR], r2: 0.8 }]
figures: [{ title: PSNR, metrics: [PSNR, rFID], colour: p, mark: c, fit: line }]
table: [p, c, E, PSNR]
`,
);
const out = join(scratch, "store");
const line = ["--import", "tsx", main, "study", "run", file, "--out", out, "--devices", "cpu"];
const steps = join(out, "steps");
const foldersOf = (kind: string) =>
  existsSync(steps) ? readdirSync(steps).filter((name) => name.startsWith(kind)) : [];
const hasCheckpoint = (name: string) => existsSync(join(steps, name, "output", "checkpoints"));

/** Waits until something is so while a process lives. */
async function until(child: ChildProcess, isSo: () => boolean): Promise<void> {
  while (!isSo()) {
    if (child.exitCode !== null) throw new Error(`The runner ended with ${child.exitCode}.`);
    await delay(20);
  }
}

describe("vitok study", () => {
  it("goes on after a kill, and finishes what can be finished", async () => {
    const killed = spawn(process.execPath, [...line, "--parallel", "1"], { stdio: "ignore" });
    await until(killed, () => foldersOf("train").some(hasCheckpoint));
    killed.kill("SIGKILL");
    const begun = foldersOf("train").find(hasCheckpoint)!;

    const again = spawnSync(process.execPath, [...line, "--parallel", "2", "--json"], {
      encoding: "utf8",
    });
    expect(again.stderr).toContain("FAILED  tiny p4-c4 stage 1");
    expect(again.status).toBe(1);
    const printed = JSON.parse(again.stdout);
    expect(printed).toMatchObject({ done: 4, left: 1, failed: [{ step: "tiny p4-c4 stage 1" }] });

    const log = readFileSync(join(steps, begun, "output", "run.jsonl"), "utf8");
    expect(log).toMatch(/"resumedAtStep":\d+/);
    expect(existsSync(join(steps, begun, "output", "checkpoints"))).toBe(false);

    const folder = join(out, "tiny-small");
    const results = JSON.parse(readFileSync(join(folder, "results.json"), "utf8")) as StudyResults;
    expect(results.cells.map(({ id, state }) => [id, state])).toEqual([
      ["p8-c2", "done"],
      ["p8-c8", "done"],
      ["p4-c4", "failed"],
    ]);
    expect(results.cells[2]!.reason).toContain("nowhere");
    expect(results.points.map(({ latentSize }) => latentSize)).toEqual([8, 32]);
    for (const { metrics, pictures } of results.points) {
      expect(metrics.PSNR).toBeGreaterThan(5);
      expect(pictures).toHaveLength(8);
    }
    expect(results.verdicts).toMatchObject([{ verdict: "undecided", paper: { verdict: "holds" } }]);
    const page = readFileSync(join(folder, "index.html"), "utf8");
    expect(page).toContain("p4-c4: failed");
    expect(page.match(/<img /g)).toHaveLength(6 * 3);
    expect(readFileSync(join(folder, "figure-1.svg"), "utf8")).toMatch(/^<svg xmlns/);
    expect(readFileSync(join(folder, "figure-1.png")).subarray(1, 4).toString()).toBe("PNG");
  });

  it("takes a job of an array, and tells what it would do", () => {
    const plan = (more: string[], env = {}) => {
      const { stdout } = spawnSync(process.execPath, [...line, "--dry-run", "--json", ...more], {
        encoding: "utf8",
        timeout: 100_000,
        env: { ...process.env, ...env },
      });
      return JSON.parse(stdout).cells as { cell: string; steps: { isDone: boolean }[] }[];
    };
    const cells = plan(["--cell", "2/2"]);
    expect(cells.map(({ cell }) => cell)).toEqual(["p8-c8"]);
    expect(cells[0]!.steps.every(({ isDone }) => isDone)).toBe(true);
    const slurm = {
      SLURM_ARRAY_TASK_ID: "7",
      SLURM_ARRAY_TASK_MIN: "5",
      SLURM_ARRAY_TASK_COUNT: "3",
    };
    expect(plan([], slurm).map(({ cell }) => cell)).toEqual(["p4-c4"]);
  });

  it("finds in a miniature of figure 3 that more floats reconstruct better", () => {
    const words = [
      "study",
      "run",
      "fig3",
      "--scale",
      "mini",
      "--only",
      "p16-c4,p4-c16",
      "--set",
      "train.steps=150",
    ];
    const place = ["--out", join(scratch, "fig3"), "--devices", "cpu", "--parallel", "2", "--json"];
    const { status, stdout } = spawnSync(
      process.execPath,
      ["--import", "tsx", main, ...words, ...place],
      {
        encoding: "utf8",
        timeout: 100_000,
      },
    );
    expect(status).toBe(0);
    const [{ points }] = JSON.parse(stdout).studies as [StudyResults];
    const byE = [...points].sort((a, b) => a.latentSize! - b.latentSize!);
    expect(byE.map(({ latentSize }) => latentSize)).toEqual([16, 1024]);
    expect(byE[1]!.metrics.PSNR! - byE[0]!.metrics.PSNR!).toBeGreaterThan(1);
  });

  it.each([
    ["a study that is not there", ["study", "run", "fig33"], 1, 'Did you mean "fig3"?'],
    ["an action that is not there", ["study", "rum", "fig3"], 2, "Expected list, run or report"],
    ["no study", ["study", "run"], 2, "Expected the name of a study"],
    [
      "cells that are not there",
      ["study", "run", "fig3", "--scale", "mini", "--only", "p9"],
      1,
      "Cells: p4-c4",
    ],
    [
      "a budget that is too small",
      ["study", "run", "fig3", "--budget", "1s", "--devices", "cpu"],
      1,
      "Estimates: paper",
    ],
  ])("refuses %s", (_, words, status, message) => {
    const child = spawnSync(process.execPath, ["--import", "tsx", main, ...words], {
      encoding: "utf8",
    });
    expect(child.stderr).toContain(message);
    expect(child.status).toBe(status);
  });
});
