// Sampling through any kind of tokenizer: pictures, clips, codes without a grid, other sizes. Models are tiny and random: clips
// are compared with each other, exactly.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { fileHash } from "../file-hash.js";
import { defineGenerator, requireGrid } from "../generator/config.js";
import { LatentGenerator } from "../generator/latent-generator.js";
import { parameters } from "../nn/parameters.js";
import { parseVariant } from "../tokenizer/config.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { call, Generator, liveTensors, noGrad, zeros } from "../torch/index.js";
import { latentGrid } from "./encode-set.js";
import { generateClips } from "./generate.js";
import { loadPipeline, type Pipeline, savePipeline } from "./generator-folder.js";

const root = mkdtempSync(join(tmpdir(), "vitok-pipeline-"));
afterAll(() => rmSync(root, { recursive: true }));

function createPipeline(variant: string, frames: number, latentTokens = 0): Pipeline {
  const config = parseVariant(variant, { latentTokens });
  const tokenizer = Tokenizer.create(config, { seed: 1 });
  const size = { frames, height: 16, width: 16 };
  const generator = LatentGenerator.create(
    defineGenerator({ variant: "DiT-Sw48d1h4", channels: 4, classes: 3 }),
    {
      ...{ latentMean: [0.1, 0, 0, 0], latentStd: [1, 2, 1, 1], classNames: [] },
      ...{ grid: latentGrid(config, size), size, tokenizerHash: "", weights: "raw" },
    },
  );
  const random = new Generator(2);
  noGrad(() => {
    for (const [, tensor] of parameters(generator.dit))
      call("normal_", tensor, 0, 0.2, random.handle);
  });
  return { generator, tokenizer };
}

const dispose = ({ generator, tokenizer }: Pipeline) => {
  generator.dispose();
  tokenizer.dispose();
};
const samples = [
  { label: 0, index: 0 },
  { label: 2, index: 1 },
];
const options = { seed: 1, steps: 3 };

describe("samples", () => {
  test.each([
    ["a picture's tokenizer", "Tiw48d1h4-Tiw48d1h4/1x8x4", 1, 0],
    ["a video's", "Tiw48d1h4-Tiw48d1h4/2x8x4", 4, 0],
    ["one whose code has no grid", "Tiw48d1h4-Tiw48d1h4/1x8x4", 1, 3],
  ])("come through %s, and leave no tensor behind", (_, variant, frames, latentTokens) => {
    const pipeline = createPipeline(variant, frames, latentTokens);
    const clips = generateClips(pipeline, samples, options);
    expect(clips).toMatchObject([
      { frames, height: 16, width: 16 },
      { frames, height: 16, width: 16 },
    ]);
    const before = liveTensors();
    const [, second] = generateClips(pipeline, samples, options);
    expect(generateClips(pipeline, samples.slice(1), options)[0]).toEqual(second);
    expect(liveTensors()).toBe(before);
    dispose(pipeline);
  });

  test("come at another size than that of training", () => {
    const pipeline = createPipeline("Tiw48d1h4-Tiw48d1h4/1x8x4", 1);
    const size = { frames: 1, height: 24, width: 40 };
    expect(generateClips(pipeline, samples, { ...options, size })[0]).toMatchObject(size);
    const odd = { frames: 1, height: 20, width: 16 };
    expect(() => generateClips(pipeline, samples, { ...options, size: odd })).toThrow(
      /sides in multiples of 8 for the input, received 1 x 20 x 16/,
    );
    dispose(pipeline);
  });

  test("of a class out of range, or from noise of another grid, are refused", () => {
    const pipeline = createPipeline("Tiw48d1h4-Tiw48d1h4/1x8x4", 1);
    expect(() => generateClips(pipeline, [{ label: 3, index: 0 }], options)).toThrow(
      /Expected a class from 0 to 2 for the generator, received 3/,
    );
    expect(() => pipeline.generator.sample(zeros([1, 5, 4]), { labels: [0] })).toThrow(
      /Expected noise \[1, 4, 4\] for 1 samples on a grid of 1 x 2 x 2, received float32 \[1, 5, 4\]/,
    );
    dispose(pipeline);
  });

  test("of video need a head that has time", () => {
    const config = defineGenerator({ width: 16, depth: 1, heads: 4, channels: 4, classes: 1 });
    expect(() => requireGrid(config, { t: 2, h: 2, w: 2 })).toThrow(/a rotary pair for time/);
    expect(() => requireGrid(config, { t: 1, h: 2, w: 2 })).not.toThrow();
  });
});

describe("a generator's folder", () => {
  test("holds its tokenizer, and comes back as it was", async () => {
    const { tokenizer, generator } = createPipeline("Tiw48d1h4-Tiw48d1h4/1x8x4", 1);
    tokenizer.save(join(root, "tokenizer"));
    const tokenizerHash = await fileHash(join(root, "tokenizer", "model.safetensors"));
    const facts = { ...generator.facts, tokenizerHash };
    const saved = LatentGenerator.create(generator.config, facts, { seed: 4 });
    savePipeline(join(root, "dit"), saved, { tokenizer: join(root, "tokenizer") });
    rmSync(join(root, "tokenizer"), { recursive: true });
    const loaded = await loadPipeline(join(root, "dit"));
    expect(loaded.generator.facts).toEqual(facts);
    expect(loaded.generator.config).toEqual(generator.config);
    expect(generateClips(loaded, samples, options)).toEqual(
      generateClips({ generator: saved, tokenizer }, samples, options),
    );
    for (const each of [saved, generator, tokenizer]) each.dispose();
    dispose(loaded);
  });

  test("without its tokenizer is refused", async () => {
    rmSync(join(root, "dit", "tokenizer"), { recursive: true });
    await expect(loadPipeline(join(root, "dit"))).rejects.toThrow(
      /Expected the generator's tokenizer in .*, received a folder without model.safetensors/,
    );
  });
});
