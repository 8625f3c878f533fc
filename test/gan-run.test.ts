// A whole stage-2 run on the CPU. Figure 13 at small scale: a discriminator with an aggressive learning rate is seen, backed off
// and rolled back from, and a gentle one is left alone. Killed and stopped at the worst moments, the run ends bit-identical (one
// thread, float32): reference is the run left alone. Here a discriminator counts as too strong earlier than by default.
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parseTrainConfig } from "../src/train/config.js";
import { readRun } from "../src/train/log.js";
import { train } from "../src/train/trainer.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-gan-"));
const from = join(scratch, "stage1");
const whole = join(scratch, "whole");
const data = { path: "drawn:train?count=8&size=16", size: 16 };
const still = { ...data, augment: false };
const common = {
  batchSize: 8,
  precision: "float32",
  threads: 1,
  evalEvery: 0,
  gridEvery: 0,
} as const;
const evaluate = { count: 4, metrics: ["psnr" as const] };

/** The decoder hardly moves, so how strong the discriminator gets is up to its learning rate. */
const strength = (peakLr: number) =>
  parseTrainConfig({
    ...{ data: still, evaluate, losses: { lpips: 0 } },
    gan: { width: 1 / 8, peakLr, warmupSteps: 20, waitSteps: 10, rampSteps: 10, strongBelow: 0.5 },
    train: { ...common, ...{ stage: 2, from, steps: 60, peakLr: 1e-5, saveEvery: 0, logEvery: 1 } },
  });

/** The GAN term weighs so much that it spoils the reconstructions; every batch is the whole set, so nothing else moves them. */
const damage = () =>
  parseTrainConfig({
    ...{ data: still, evaluate, losses: { lpips: 0, adversarial: 1 } },
    gan: {
      width: 1 / 16,
      peakLr: 4e-3,
      warmupSteps: 5,
      waitSteps: 15,
      rampSteps: 10,
      damageAbove: 1.04,
      mostRollbacks: 9,
    },
    train: {
      ...{ ...common, stage: 2, from, steps: 29, peakLr: 8e-4, warmupSteps: 0 },
      ...{ saveEvery: 15, keepCheckpoints: 1, logEvery: 1 },
    },
  });

beforeAll(async () => {
  const config = parseTrainConfig({
    ...{ model: { variant: "Tiw48d2h3-Tiw48d2h3/4" }, data, evaluate, losses: { lpips: 0 } },
    train: { ...common, steps: 120, peakLr: 2e-3 },
  });
  await train(config, { out: from, command: "" });
  await train(damage(), { out: whole, command: "" });
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

test("a discriminator that learns too fast is told and slowed down; at a gentle rate it is left alone", async () => {
  const [aggressive, gentle] = [2e-3, 2e-5];
  for (const peakLr of [aggressive, gentle]) {
    const out = join(scratch, `strength-${peakLr}`);
    await train(strength(peakLr), { out, command: "" });
    const { events, steps } = readRun(out)!;
    const kinds = events.map(({ kind }) => kind).filter((kind) => kind !== "start");
    const { discriminatorLr } = steps.at(-1)!.gauges!;
    if (peakLr === gentle) expect([kinds, discriminatorLr]).toEqual([[], gentle]);
    else {
      expect(kinds.slice(0, 2)).toEqual(["discriminator-too-strong", "back-off"]);
      expect(discriminatorLr).toBeLessThanOrEqual(aggressive / 2);
    }
  }
});

test("damage is rolled back from, with a smaller weight, all in run.jsonl", () => {
  const { events, steps, state } = readRun(whole)!;
  const kinds = events.map(({ kind }) => kind);
  const rollbacks = kinds.filter((kind) => kind === "back-off").length;
  expect(rollbacks).toBeGreaterThan(0);
  expect(kinds[kinds.indexOf("rollback") + 1]).toBe("back-off");
  expect(steps.map(({ step }) => step)).toEqual(Array.from({ length: 29 }, (_, i) => i + 1));
  expect(steps.at(-1)!.gauges!.adversarialWeight).toBeCloseTo(0.5 ** rollbacks, 12);
  expect(state).toBe("done");
});

/** Runs on until the step; then dies without a word, or is told to stop. `visit`: the how manieth time the step is reached. */
async function goOn(
  out: string,
  { atStep, visit = 1, dies }: { atStep: number; visit?: number; dies: boolean },
) {
  const controller = new AbortController();
  let seen = 0;
  const run = train(damage(), {
    ...{ out, command: "", resume: true, signal: controller.signal },
    onStep(step) {
      if (step !== atStep || ++seen < visit) return;
      if (dies) throw new Error("killed");
      controller.abort();
    },
  });
  if (dies) await expect(run).rejects.toThrow("killed");
  else expect(await run).toMatchObject({ state: "interrupted" });
}

test("killed before, in and after the trouble, it ends bit-identical", async () => {
  const { events } = readRun(whole)!;
  const rollback = events.find(({ kind }) => kind === "rollback")!;
  const backTo = Number(/step (\d+)$/.exec(rollback.text)![1]);
  const out = join(scratch, "killed");
  await goOn(out, { atStep: backTo - 2, dies: true });
  await goOn(out, { atStep: rollback.step - 1, dies: false }); // saves a state that is none to come back to
  await goOn(out, { atStep: backTo + 2, dies: true }); // after the rollback: it is not saved yet
  const config = damage();
  renameSync(from, `${from}-gone`); // a checkpoint is all that going on needs
  const { state } = await train(config, { out, command: "", resume: true });
  expect(state).toBe("done");
  const last = (folder: string) => join(folder, "checkpoints", "step-0000029");
  const files = readdirSync(last(whole)).filter((name) => name.endsWith(".safetensors"));
  expect(files.sort()).toEqual(
    ["discriminator", "discriminator_optimizer", "ema", "model", "optimizer"].map(
      (name) => `${name}.safetensors`,
    ),
  );
  for (const file of files)
    expect(
      readFileSync(join(last(out), file)).equals(readFileSync(join(last(whole), file))),
      file,
    ).toBe(true);
  const numbers = (folder: string) =>
    JSON.parse(readFileSync(join(last(folder), "state.json"), "utf8")).numbers;
  expect(numbers(out)).toEqual(numbers(whole));
  const losses = (folder: string) => readRun(folder)!.steps.map(({ loss }) => loss);
  expect(losses(out)).toEqual(losses(whole));
});
