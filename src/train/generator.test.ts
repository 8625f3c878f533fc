// Training a generator, end to end on the CPU: eight pictures, each a class of its own, through a tokenizer that has seen them,
// to latents, to a Diffusion Transformer, to samples, which have to be nearest to the picture of their class. A resumed run is
// bit-identical; what does not fit is refused.
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { encodeSet, planSet } from "../codec/encode-set.js";
import { generateClips } from "../codec/generate.js";
import { loadPipeline } from "../codec/generator-folder.js";
import { openDrawn } from "../data/drawn-source.js";
import { openSource } from "../data/source.js";
import { fileHash } from "../file-hash.js";
import type { Clip } from "../media/clip.js";
import { writeImage } from "../media/image.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { liveTensors } from "../torch/index.js";
import { parseTrainConfig } from "./config.js";
import { readRun } from "./log.js";
import { train } from "./trainer.js";

const root = mkdtempSync(join(tmpdir(), "vitok-generator-"));
const at = (...names: string[]) => join(root, ...names);
const pictures = at("pictures");
const quiet = { logEvery: 50, evalEvery: 0, saveEvery: 0, gridEvery: 0 };
const base = { device: "cpu", seed: 1 } as const;
const run = (recipe: Parameters<typeof parseTrainConfig>[0], out: string, options = {}) =>
  train(parseTrainConfig(recipe), { out: at(out), command: "test", ...options });

const recipe = (path: string, steps: number, generator: object = {}) => ({
  ...base,
  generator: {
    ...{ variant: "DiT-Sw64d2h4", tokenizer: at("tokenizer") },
    sample: { steps: 10, sampler: "dpm++" as const, perClass: 1, guidance: 1 },
    ...generator,
  },
  data: { path, size: 16, flip: false },
  train: {
    ...{ stage: "generator" as const, steps, batchSize: 32, peakLr: 3e-3 },
    ...{ precision: "float32" as const, ...quiet },
  },
});

let originals: Clip[];

beforeAll(async () => {
  const drawn = await openDrawn("drawn:train?count=8&size=16");
  originals = await Promise.all(Array.from({ length: 8 }, (_, i) => drawn.load(i)));
  for (const [i, clip] of originals.entries()) {
    mkdirSync(at("pictures", `class-${i}`), { recursive: true });
    await writeImage(at("pictures", `class-${i}`, "0.png"), clip);
  }
  const model = { variant: "Tiw96d2h4-Tiw96d2h4/8" };
  const data = { path: pictures, size: 16, augment: false };
  const plan = { steps: 250, batchSize: 8, peakLr: 3e-3, precision: "float32" as const, ...quiet };
  await run({ ...base, model, data, losses: { lpips: 0 }, train: plan }, "tokenizer");
  const tokenizer = await Tokenizer.load(at("tokenizer", "model"));
  const source = await openSource(pictures);
  const tokenizerHash = await fileHash(at("tokenizer", "model", "model.safetensors"));
  const facts = {
    tokenizerHash,
    setHash: "",
    size: 16,
    frames: 1,
    shardSize: 4,
    views: 2,
  } as const;
  const latents = planSet(tokenizer, source, { ...facts, dtype: "float16" });
  await encodeSet(tokenizer, source, { out: at("latents"), plan: latents, batchSize: 8 });
  tokenizer.dispose();
});
afterAll(() => rmSync(root, { recursive: true }));

const lossesOf = (out: string) => readRun(at(out))?.steps.map(({ loss }) => loss) ?? [];

const psnr = (a: Clip, b: Clip): number => {
  const error = a.bytes.reduce((sum, value, i) => sum + (value - b.bytes[i]!) ** 2, 0);
  return 10 * Math.log10(255 ** 2 / (error / a.bytes.length));
};

describe("a generator", () => {
  test.each([
    // Predicting noise learns the coarse parts last.
    { prediction: "noise" as const, steps: 1200, nearest: 14, mean: 18 },
    { prediction: "velocity" as const, steps: 600, nearest: 15, mean: 20 },
  ])("overfits eight pictures to samples of their classes: $prediction", async (expected) => {
    const { prediction, steps } = expected;
    const before = liveTensors();
    const { model } = await run(recipe(at("latents"), steps, { prediction }), prediction);
    expect(liveTensors()).toBe(before);
    const pipeline = await loadPipeline(model!);
    const facts = { weights: "ema", grid: { t: 1, h: 2, w: 2 } };
    expect(pipeline.generator.facts).toMatchObject(facts);
    const samples = Array.from({ length: 16 }, (_, index) => ({ index, label: index % 8 }));
    const clips = generateClips(pipeline, samples, {
      ...{ seed: 5, steps: 25, guidance: { scale: 3 } },
    });
    const scores = clips.map((clip) => originals.map((original) => psnr(clip, original)));
    const own = scores.map((row, i) => row[i % 8]!);
    const nearest = scores.filter((row, i) => Math.max(...row) === row[i % 8]).length;
    expect(nearest, "samples nearest to their class's picture").toBeGreaterThanOrEqual(
      expected.nearest,
    );
    const mean = own.reduce((sum, value) => sum + value, 0) / own.length;
    expect(mean, "mean PSNR to it").toBeGreaterThan(expected.mean);
    pipeline.generator.dispose();
    pipeline.tokenizer.dispose();
    const losses = lossesOf(prediction);
    expect(losses.at(-1)).toBeLessThan(0.5 * losses[0]!);
  });

  test("that was stopped and resumed ends with the same weights, of either kind", async () => {
    for (const path of [at("latents"), pictures]) {
      const name = path === pictures ? "pictures" : "latents";
      await run(recipe(path, 6), `${name}-whole`);
      const stop = new AbortController();
      const onStep = (step: number) => step === 3 && stop.abort();
      const half = await run(recipe(path, 6), `${name}-half`, { signal: stop.signal, onStep });
      expect(half).toMatchObject({ state: "interrupted", step: 3 });
      await run(recipe(path, 6), `${name}-half`, { resume: true });
      for (const file of [
        "model/model.safetensors",
        "checkpoints/step-0000006/model.safetensors",
      ]) {
        const [whole, resumed] = ["whole", "half"].map((part) =>
          readFileSync(at(`${name}-${part}`, file)),
        );
        expect(resumed!.equals(whole!), `${name} ${file}`).toBe(true);
      }
    }
  });

  test("learns to predict the flow", async () => {
    const { model } = await run(recipe(at("latents"), 150, { prediction: "flow" }), "flow");
    const losses = lossesOf("flow");
    expect(losses.at(-1)).toBeLessThan(0.9 * losses[0]!);
    const config = JSON.parse(readFileSync(join(model!, "config.json"), "utf8"));
    expect(config).toMatchObject({ kind: "generator", prediction: "flow", classes: 8 });
  });

  test("takes parts of a batch, and checkpointed ones, as the batch at once", async () => {
    const plain = recipe(at("latents"), 2);
    const losses: number[] = [];
    for (const more of [{}, { accumulate: 4 }, { checkpointing: true }]) {
      const out = `parts-${losses.length}`;
      await run({ ...plain, train: { ...plain.train, ...more, logEvery: 1 } }, out);
      losses.push(lossesOf(out).at(-1) ?? Number.NaN);
    }
    for (const loss of losses) expect(loss).toBeCloseTo(losses[0]!, 5);
  });
});

describe("refused is", () => {
  test("a folder of latents that another tokenizer made", async () => {
    const other = Tokenizer.create("Tiw96d2h4-Tiw96d2h4/8", { seed: 9 });
    other.save(at("other"));
    other.dispose();
    await expect(
      run(recipe(at("latents"), 2, { tokenizer: at("other") }), "refused"),
    ).rejects.toThrow(/Expected latents of the tokenizer \w{16} in .*, received those of Sw96d2h4/);
  });

  test("a size whose grid is not that of the latents", async () => {
    const wrong = recipe(at("latents"), 2);
    await expect(run({ ...wrong, data: { ...wrong.data, size: 32 } }, "refused")).rejects.toThrow(
      /Expected latents on a grid of 1 x 4 x 4 \(data.size 32\) in .*, received 1 x 2 x 2/,
    );
  });

  test("pictures without classes", async () => {
    await expect(run(recipe(at("pictures", "class-0"), 2), "refused")).rejects.toThrow(
      /Expected data with classes for a generator/,
    );
  });

  test.each([
    ["a stage without its section", { generator: undefined }, /for generator, received nothing/],
    [
      "a section without its stage",
      { train: { stage: 1 } },
      /Expected generator, .* for train.stage/,
    ],
    [
      "a model beside the tokenizer's",
      { model: { variant: "S-B/16" } },
      /no such section for a generator/,
    ],
  ])("%s", (_, change, message) => {
    const wrong = { ...recipe(at("latents"), 2), ...change } as Parameters<
      typeof parseTrainConfig
    >[0];
    expect(() => parseTrainConfig(wrong)).toThrow(message);
  });
});
