// Scores of a generator against those of the same samples written to files (exact: the files are PNG), through a stub network.
// The metrics themselves are checked in src/metrics, sampling in src/generator.
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { stubInception } from "../../test/stub-networks.js";
import { generatedSource } from "../codec/generated-source.js";
import { drawnSource } from "../data/drawn-source.js";
import { openFolder } from "../data/folder.js";
import { defineGenerator } from "../generator/config.js";
import { LatentGenerator } from "../generator/latent-generator.js";
import { writeImage } from "../media/image.js";
import { parameters } from "../nn/parameters.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { call, Generator, liveTensors, noGrad } from "../torch/index.js";
import { evaluateGeneration } from "./generation.js";
import { scorePictureSets } from "./picture-sets.js";

const root = mkdtempSync(join(tmpdir(), "vitok-generation-"));
const tokenizer = Tokenizer.create("Tiw48d1h4-Tiw48d1h4/1x8x4", { seed: 1 });
const generator = LatentGenerator.create(
  defineGenerator({ variant: "DiT-Sw48d1h4", channels: 4, classes: 3 }),
  {
    ...{ latentMean: [0, 0, 0, 0], latentStd: [1, 1, 1, 1], classNames: ["ball", "box", "cone"] },
    ...{ grid: { t: 1, h: 2, w: 2 }, size: { frames: 1, height: 16, width: 16 } },
    ...{ tokenizerHash: "", weights: "ema" },
  },
);
const random = new Generator(2);
noGrad(() => {
  for (const [, tensor] of parameters(generator.dit))
    call("normal_", tensor, 0, 0.2, random.handle);
});
const pipeline = { generator, tokenizer };
const sampling = { seed: 3, steps: 4, guidance: { scale: 2 } };
const scoring = {
  ...{ metrics: ["fid", "is"] as const, batchSize: 5, fidTap: "64" as const },
  networks: { image: stubInception },
};
const real = drawnSource({ count: 80, size: 16 });

afterAll(() => {
  generator.dispose();
  tokenizer.dispose();
  rmSync(root, { recursive: true });
});

describe("a generator's scores", () => {
  test("are those of its samples in files, with how they were made", async () => {
    const samples = generatedSource(pipeline, { ...sampling, count: 70, batchSize: 7 });
    for (let i = 0; i < samples.length; i++)
      await writeImage(
        join(root, samples.classes[samples.label(i)!]!, `${samples.id(i)}.png`),
        await samples.load(i),
      );
    const files = await openFolder(root);
    expect(files.classes).toEqual(["ball", "box", "cone"]);
    const expected = await scorePictureSets(real, files, {
      ...scoring,
      metrics: ["fid"],
      device: "cpu",
    });
    const before = liveTensors();
    const { metrics, protocol } = await evaluateGeneration(pipeline, real, {
      ...scoring,
      ...sampling,
      count: 70,
    });
    expect(liveTensors()).toBe(before);
    const [name = ""] = Object.keys(expected.metrics);
    expect(metrics[`g${name}`]! / expected.metrics[name]!).toBeCloseTo(1, 6);
    expect(Object.keys(metrics).sort()).toEqual(["gFID-64", "gIS"]);
    expect(protocol).toMatchObject({
      ...{ generator: "DiT-Sw48d1h4", sampler: "ddim", steps: 4, guidance: 2, seed: 3 },
      ...{ weights: "ema", latent: "generated", count: 70, size: 16 },
    });
  });

  test("are the same from the real set's saved statistics", async () => {
    const realStats = join(root, "real.npz");
    const options = { ...scoring, ...sampling, metrics: ["fid"] as const, count: 70, realStats };
    const first = await evaluateGeneration(pipeline, real, options);
    const unread = { ...real, load: () => Promise.reject(new Error("read again")) };
    const second = await evaluateGeneration(pipeline, unread, options);
    const ratio = second.metrics["gFID-64"]! / first.metrics["gFID-64"]!;
    expect(ratio).toBeCloseTo(1, 6);
    expect(second.protocol.set).toBe(first.protocol.set);
    expect(first.protocol.set).toMatch(/cropped to 16 pixels/);
  });

  test("differ with the guidance", async () => {
    const [one, four] = await Promise.all(
      [1, 4].map((scale) =>
        evaluateGeneration(pipeline, real, {
          ...scoring,
          seed: 3,
          steps: 4,
          guidance: { scale },
          count: 70,
        }),
      ),
    );
    expect(one!.metrics["gFID-64"]).not.toBeCloseTo(four!.metrics["gFID-64"]!, 6);
  });

  test("need no originals, so metrics of pairs are refused", async () => {
    const wrong = { ...scoring, ...sampling, metrics: ["psnr"] as const, count: 2 };
    await expect(evaluateGeneration(pipeline, real, wrong)).rejects.toThrow(
      /metrics of sets for a generator .* received psnr, which needs originals/,
    );
  });
});
