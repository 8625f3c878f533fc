// Two processes over Gloo against one with the same global batch, stage 1 in float32: gradients of a step within 1e-5 and weights
// after 10 steps within 1e-5, both as the relative L2 norm of the difference over all parameters; losses over 100 steps within 1e-3,
// relative. The same for gradient accumulation, activation checkpointing and a sharded optimizer. Reference: the one process.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { runChild } from "./child.js";
import { relativeDifference } from "./relative-difference.js";
import { runTogether } from "./together.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-parallel-"));
const alone = join(scratch, "alone");
const timeoutMs = 600_000; // a machine that is busy with other things
vi.setConfig({ testTimeout: timeoutMs, hookTimeout: timeoutMs });

beforeAll(() => {
  const { status, stderr } = runChild("train-together", [alone, "100"], { timeoutMs });
  expect(stderr).toBe("");
  expect(status).toBe(0);
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

const difference = (folder: string, file: string) => relativeDifference(folder, alone, file);

const lossesOf = (folder: string): number[] =>
  JSON.parse(readFileSync(join(folder, "losses.json"), "utf8"));

async function together(name: string, steps: number, settings: object = {}): Promise<string> {
  const folder = join(scratch, name);
  const args = [folder, String(steps), JSON.stringify(settings)];
  for (const { status, stderr } of await runTogether("train-together", 2, { args, timeoutMs }))
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  return folder;
}

describe("two processes compute what one computes", () => {
  test("gradients of a step, weights after ten, losses over a hundred", async () => {
    const two = await together("two", 100);
    expect(difference(two, "gradients")).toBeLessThan(1e-5);
    expect(difference(two, "weights")).toBeLessThan(1e-5);
    const [ours, reference] = [lossesOf(two), lossesOf(alone)];
    expect(ours).toHaveLength(100);
    ours.forEach((loss, step) => {
      expect(Math.abs(loss / reference[step]! - 1), `step ${step}`).toBeLessThan(1e-3);
    });
    expect(reference[99]!).toBeLessThan(0.7 * reference[0]!); // it did learn
  });

  test("in micro-batches with activation checkpointing: gradients come in segments", async () => {
    const folder = await together("segments", 10, { accumulate: 2, checkpointing: true });
    expect(difference(folder, "gradients")).toBeLessThan(1e-5);
    expect(difference(folder, "weights")).toBeLessThan(1e-5);
  });

  test("with gradients that are averaged where they lie, after the backward pass", async () => {
    const folder = await together("in-place", 10, { overlaps: false });
    expect(difference(folder, "gradients")).toBeLessThan(1e-5);
    expect(difference(folder, "weights")).toBeLessThan(1e-5);
  });

  test("with the optimizer's state shared, which is saved as if it were whole", async () => {
    const folder = await together("sharded", 10, { shardOptimizer: true });
    expect(difference(folder, "weights")).toBeLessThan(1e-5);
    expect(difference(folder, "optimizer")).toBeLessThan(1e-5);
    lossesOf(folder).forEach((loss, step) => {
      expect(Math.abs(loss / lossesOf(alone)[step]! - 1), `step ${step}`).toBeLessThan(1e-3);
    });
  });
});
