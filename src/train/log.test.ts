// The run log against what it was given: whole, cut by a kill, and resumed. Exact.

import { appendFileSync, mkdtempSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { type RunLine, RunLog, readRun, type StepLine } from "./log.js";

const run: RunLine = {
  type: "run",
  variant: "Ti-Ti/8",
  config: { seed: 0 },
  version: "0.1.0",
  seed: 0,
  device: "cpu",
  engine: "libtorch 2.13.0",
  cores: 2,
  command: "vitok train x.yaml",
  startedAt: "2026-01-01T00:00:00Z",
};

function stepLine(step: number, loss: number): StepLine {
  const speed = { imagesPerSecond: 30, dataWaitShare: 0.01, memoryMiB: 100, elapsedMs: step * 10 };
  return { type: "step", step, loss, terms: { mse: loss }, lr: 1e-3, gradNorm: 1, ...speed };
}

function newFolder(): string {
  return join(mkdtempSync(join(tmpdir(), "vitok-log-")), "run");
}

describe("a run's log", () => {
  it("is read back as it was written", () => {
    const folder = newFolder();
    const log = new RunLog(folder);
    log.write(run);
    log.write(stepLine(1, 0.5));
    log.write({ type: "eval", step: 1, metrics: { PSNR: 12 }, elapsedMs: 20 });
    log.write({ type: "checkpoint", step: 1, path: "checkpoints/1" });
    log.write({ type: "end", state: "done", step: 1, elapsedMs: 30 });
    log.close();
    const record = readRun(folder);
    expect(record).toMatchObject({ run, state: "done", evals: [{ metrics: { PSNR: 12 } }] });
    expect(record?.steps).toEqual([stepLine(1, 0.5)]);
    expect(record?.checkpoints).toHaveLength(1);
  });

  it("survives a line cut by a kill, and the run that goes on after it", () => {
    const folder = newFolder();
    const log = new RunLog(folder);
    log.write(run);
    log.write(stepLine(1, 0.5));
    log.close();
    appendFileSync(join(folder, "run.jsonl"), '{"type":"step","st');
    expect(readRun(folder)).toMatchObject({ state: "unfinished", steps: [stepLine(1, 0.5)] });
    const again = new RunLog(folder);
    again.write({ ...run, resumedAtStep: 1, startedAt: "2026-01-02T00:00:00Z" });
    again.write(stepLine(2, 0.4));
    again.close();
    expect(readRun(folder)?.steps).toEqual([stepLine(1, 0.5), stepLine(2, 0.4)]);
    expect(readRun(folder)?.run.startedAt).toBe(run.startedAt);
    expect(readFileSync(join(folder, "run.jsonl"), "utf8").split("\n")).toHaveLength(6);
  });

  it("drops what a resume made void, and lets the later line win", () => {
    const folder = newFolder();
    const log = new RunLog(folder);
    log.write(run);
    for (const step of [10, 20, 30]) log.write(stepLine(step, 1));
    log.write({ type: "end", state: "interrupted", step: 30, elapsedMs: 1 });
    log.write({ ...run, resumedAtStep: 10 });
    log.write(stepLine(20, 0.7));
    log.write(stepLine(20, 0.8));
    log.close();
    const record = readRun(folder);
    expect(record?.steps.map(({ step, loss }) => [step, loss])).toEqual([
      [10, 1],
      [20, 0.8],
    ]);
    expect(record?.state).toBe("unfinished");
  });

  it("keeps a loss that is no number as null", () => {
    const folder = newFolder();
    const log = new RunLog(folder);
    log.write(run);
    log.write(stepLine(1, Number.NaN));
    log.close();
    expect(readRun(folder)?.steps[0]?.loss).toBeNull();
  });

  it("is null where there is none", () => {
    expect(readRun(newFolder())).toBeNull();
  });
});
