// Two processes started by --nproc: a run in which one was killed (SIGKILL) ends with a message and, resumed, ends bit-identical
// to the unbroken run of two processes; float32 on the CPU, one thread each. Reference: that unbroken run.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { openSource } from "../src/data/source.js";
import { evaluateReconstruction } from "../src/evaluate/reconstruction.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { readRun } from "../src/train/log.js";
import { isGone, trainTogether } from "./kill-together.js";

// A machine that is busy with other things takes its time.
vi.setConfig({ testTimeout: 600_000, hookTimeout: 600_000 });

const steps = 8;
const scratch = mkdtempSync(join(tmpdir(), "vitok-processes-"));
const whole = join(scratch, "whole");
const bytesOf = (out: string, file: string) =>
  readFileSync(join(out, "checkpoints", `step-${String(steps).padStart(7, "0")}`, file));

/** Processes look once a second whether they were orphaned. */
async function waitUntilGone(children: readonly number[]): Promise<void> {
  while (!children.every(isGone)) await delay(50);
}

describe.skipIf(process.platform !== "linux")("a process of a run is killed", () => {
  beforeAll(async () => {
    expect(await trainTogether(whole, { steps })).toMatchObject({ code: 0 });
    expect(readRun(whole)!.run).toMatchObject({ processes: 2 });
  });
  afterAll(() => rmSync(scratch, { recursive: true, force: true }));

  test("the evaluation that both shared has the scores of one process", async () => {
    const tokenizer = await Tokenizer.load(join(whole, "model"));
    const source = await openSource("drawn:val?count=16&size=32");
    const options = { size: 32, batchSize: 4, count: 8, metrics: ["psnr"] } as const;
    const { metrics } = await evaluateReconstruction(tokenizer, source, options);
    expect(readRun(whole)!.evals.at(-1)!.metrics).toEqual(metrics);
    tokenizer.dispose();
  });

  test.each([
    { whom: 1, atStep: 6 },
    { whom: "launcher", atStep: 2 },
  ] as const)(
    "$whom after step $atStep: all end, and the resumed run ends bit-identical",
    async ({ whom, atStep }) => {
      const out = join(scratch, `killed-${whom}`);
      const killed = await trainTogether(out, { steps, kill: { whom, atStep } });
      if (whom === "launcher") expect(killed.signal).toBe("SIGKILL");
      else {
        expect(killed.code).toBe(1);
        expect(killed.stderr).toContain(`Process ${whom} was ended by SIGKILL`);
        expect(killed.stderr).toMatch(/npx vitok train \S+ .*--out \S+ --nproc 2 --resume/);
      }
      await waitUntilGone(killed.children);
      const resumed = await trainTogether(out, { steps, resume: true });
      expect(resumed).toMatchObject({ code: 0 });
      for (const file of ["model.safetensors", "optimizer.safetensors"])
        expect(bytesOf(out, file).equals(bytesOf(whole, file)), file).toBe(true);
      expect(readRun(out)!.steps.map(({ loss }) => loss)).toEqual(
        readRun(whole)!.steps.map(({ loss }) => loss),
      );
    },
  );
});
