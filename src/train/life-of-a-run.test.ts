// What a run begins from and what of it stays: freezing by name, weights of another model, checkpoints kept. Reference: the rules
// as train/config.ts words them; weights that are taken over are compared bit for bit.
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { openSource } from "../data/source.js";
import { writeImage } from "../media/image.js";
import { parameters, stateDict } from "../nn/parameters.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { liveTensors } from "../torch/index.js";
import { loadCheckpoint, saveCheckpoint } from "./checkpoint.js";
import { bestCheckpoint, lastGoodCheckpoint, removeOldCheckpoints } from "./checkpoint-folder.js";
import { parseTrainConfig } from "./config.js";
import { dryRun } from "./dry-run.js";
import { freezeByName } from "./freezing.js";
import { readRun } from "./log.js";
import type { Recipe } from "./recipe.js";
import { startTokenizer } from "./start-tokenizer.js";
import { train } from "./trainer.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-life-"));
const base = join(scratch, "base");
const variant = "Tiw24d1h2-Tiw24d1h2/8";
let origin: Tokenizer;

beforeAll(() => {
  origin = Tokenizer.create(variant, { seed: 3 });
  origin.save(join(base, "model")); // as a run leaves it
});
afterAll(() => {
  origin.dispose();
  rmSync(scratch, { recursive: true, force: true });
});

describe("freezing by name", () => {
  const learningOf = (patterns: string[]) => {
    const tokenizer = Tokenizer.create(variant);
    const counts = freezeByName(tokenizer, patterns);
    const names = [...parameters(tokenizer)]
      .filter(([, x]) => x.requiresGrad)
      .map(([name]) => name);
    tokenizer.dispose();
    return { names, counts };
  };

  test("stops what a pattern matches, * being any letters, and counts it", () => {
    const all = learningOf([]);
    expect(all.counts.frozen).toBe(0);
    const { names, counts } = learningOf(["encoder.*", "*.bias", "decoder.norm.weight"]);
    const left = all.names.filter(
      (name) => !/^encoder\.|\.bias$|^decoder\.norm\.weight$/.test(name),
    );
    expect(names).toEqual(left);
    expect(counts.learning + counts.frozen).toBe(all.counts.learning);
  });

  test("refuses a pattern without a match, and to freeze everything", () => {
    expect(() => learningOf(["encodr.*"])).toThrow(
      /train\.freeze, received "encodr\.\*".*encoder\./,
    );
    expect(() => learningOf(["*"])).toThrow(/Expected a parameter to learn/);
  });
});

describe("a start from another model", () => {
  const started = (model: object, isExact = false) => {
    const config = parseTrainConfig({
      ...{ model, data: { path: "x", size: 32 }, seed: 9 },
      train: { from: base, freeze: ["encoder.blocks.*"] },
    });
    return startTokenizer(config, "cpu", { isExact });
  };
  const sameAsOrigin = ({ tokenizer }: { tokenizer: Tokenizer }) => {
    const known = stateDict(origin);
    return [...parameters(tokenizer)]
      .filter(([name, x]) => String(x.toArray()) !== String(known[name]?.toArray()))
      .map(([name]) => name);
  };

  test("takes every weight and the architecture where nothing is said", () => {
    const start = started({});
    expect(sameAsOrigin(start)).toEqual([]);
    expect(start.notes[0]).toBe(`weights of ${base}`);
    expect(start.notes[1]).toContain("are frozen (encoder.blocks.*)");
    start.tokenizer.dispose();
  });

  test.each([
    [{ channels: 8 }, /to_latent|from_latent/],
    [{ patchSize: 4 }, /patch_embed|to_pixels/],
    [{ tubeletSize: 2 }, /patch_embed|to_pixels/],
  ])("with %j starts the ends afresh and says so", (model, ends) => {
    const start = started(model);
    const fresh = sameAsOrigin(start);
    expect(fresh.length).toBeGreaterThan(0);
    for (const name of fresh) expect(name).toMatch(ends);
    for (const name of fresh.filter((name) => name.endsWith("weight")))
      expect(start.notes[0]).toContain(name);
    start.tokenizer.dispose();
  });

  test("refuses other towers, anything else in stage 2, and a folder that holds no model", () => {
    const before = liveTensors();
    const tower = { width: 48, depth: 1, heads: 2 };
    expect(() => started({ decoder: tower })).toThrow(/other towers and latent tokens cannot/);
    expect(() => started({ channels: 8 }, true)).toThrow(/Stage 2 continues the very model/);
    const config = { data: { path: "x", size: 32 }, train: { from: join(scratch, "none") } };
    expect(() => parseTrainConfig(config)).toThrow(/train\.from, received .*none/);
    expect(liveTensors()).toBe(before);
  });
});

describe("checkpoints", () => {
  const folder = join(scratch, "kept");
  const make = (step: number, facts: object) => {
    const path = join(folder, "checkpoints", `step-${String(step).padStart(7, "0")}`);
    mkdirSync(path, { recursive: true });
    writeFileSync(join(path, "state.json"), JSON.stringify({ step, ...facts }));
  };
  const stepsLeft = () =>
    readdirSync(join(folder, "checkpoints")).map((name) => Number(name.slice(5)));

  test("stay if they are among the last, the best, or the last good one", () => {
    make(10, { isGood: true, score: 30 });
    make(20, { isGood: true, score: 20 });
    make(30, { isGood: false, score: 25 });
    make(40, { isGood: false, score: 26 });
    make(50, { isGood: false });
    expect(bestCheckpoint(folder, "lowest")).toMatch(/20$/);
    expect(lastGoodCheckpoint(folder)).toMatch(/20$/);
    removeOldCheckpoints(folder, { last: 2, best: "highest" });
    expect(stepsLeft()).toEqual([10, 20, 40, 50]);
    removeOldCheckpoints(folder, { last: 1 });
    expect(stepsLeft()).toEqual([20, 50]);
  });

  test("of a run are its last and its best, by the evaluation of the same step", async () => {
    const out = join(scratch, "run");
    const config = parseTrainConfig({
      ...{ model: { variant }, data: { path: "drawn:train?count=8&size=16", size: 16 } },
      losses: { lpips: 0 },
      train: {
        ...{ steps: 8, batchSize: 4, peakLr: 0.3, precision: "float32", gridEvery: 0 },
        ...{ evalEvery: 2, saveEvery: 2, keepCheckpoints: 1, keepBest: "psnr" },
      },
      evaluate: { metrics: ["psnr"], count: 4 },
    });
    await train(config, { out, command: "" });
    const { evals, events } = readRun(out)!;
    const best = evals.reduce((a, b) => (b.metrics.PSNR! > a.metrics.PSNR! ? b : a)).step;
    const left = readdirSync(join(out, "checkpoints")).map((name) => Number(name.slice(5)));
    expect(left).toEqual([...new Set([best, 8])]);
    expect(events.at(-1)!.text).toContain(`step-${String(best).padStart(7, "0")}`);
  });
});

test("a checkpoint goes on with other switches of the engine, and with none other", () => {
  const out = join(scratch, "switches");
  const of = (train: object) =>
    parseTrainConfig({ model: { variant }, data: { path: "x", size: 16 }, train });
  const recipe = { model: origin, states: {}, numbers: {} } as unknown as Recipe;
  const at = { step: 3, sample: 12, isGood: true };
  const folder = saveCheckpoint(out, recipe, { ...at, config: of({ tf32: true }) });
  const others = { tf32: false, kernels: "off", graph: "off", shardOptimizer: true };
  expect(loadCheckpoint(folder, recipe, of(others))).toMatchObject(at);
  expect(() => loadCheckpoint(folder, recipe, of({ peakLr: 1 }))).toThrow(/train\.peakLr was/);
});

test("a run whose last evaluation fails keeps its model", async () => {
  const [out, pictures] = [join(scratch, "unscored"), join(scratch, "pictures")];
  const set = await openSource("drawn:val?count=4&size=16");
  mkdirSync(pictures);
  for (let i = 0; i < set.length; i++)
    await writeImage(join(pictures, `${i}.png`), await set.load(i));
  const config = parseTrainConfig({
    ...{ model: { variant }, data: { path: "drawn:train?count=8&size=16", size: 16 } },
    losses: { lpips: 0 },
    train: { steps: 1, batchSize: 4, precision: "float32", gridEvery: 0 },
    evaluate: { data: pictures, metrics: ["psnr"], count: 4 },
  });
  const onStep = () => rmSync(pictures, { recursive: true });
  await expect(train(config, { out, command: "", onStep })).rejects.toThrow(/readable/);
  expect(readRun(out)!.state).toBe("failed");
  (await Tokenizer.load(join(out, "model"))).dispose();
});

test("a dry run tells the plan, and leaves neither files nor tensors", async () => {
  const out = join(scratch, "dry");
  const config = parseTrainConfig({
    ...{ data: { path: "drawn:train?count=8&size=16", size: 16 }, losses: { lpips: 0 }, out },
    gan: { width: 1 / 64 },
    train: { stage: 2, from: base, steps: 100, batchSize: 4, accumulate: 2, precision: "float32" },
  });
  const before = liveTensors();
  const plan = await dryRun(config);
  const count = (part: object) => [...parameters(part)].reduce((sum, [, x]) => sum + x.numel, 0);
  expect(plan).toMatchObject({
    ...{ stage: 2, tokens: 4, latentSize: 64, steps: 100, batchSize: 4, microBatch: 2, epochs: 50 },
    data: { files: 8 },
    parameters: { learning: count(origin.decoder), frozen: count(origin.encoder) },
  });
  expect(plan.stepMs).toBeGreaterThan(0);
  expect(plan.totalMs).toBeCloseTo(100 * plan.stepMs, 6);
  expect(plan.notes).toHaveLength(2);
  expect(liveTensors()).toBe(before);
  expect(existsSync(out)).toBe(false);
});
