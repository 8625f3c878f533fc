// The one pass against each score computed apart (1e-7 relative, features of stub networks), its state, its protocols.
// That the scores themselves are right is tested beside each metric.

import { mkdtempSync, readdirSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { stubI3d, stubInception } from "../../test/stub-networks.js";
import { batchOf, pixelsOf, roundToBytes } from "../data/batch.js";
import { drawnSource } from "../data/drawn-source.js";
import type { Source } from "../data/source.js";
import { joinFrames } from "../media/clip.js";
import { MediaError } from "../media/error.js";
import { extrapolateFrechet, frechetDistance } from "../metrics/frechet.js";
import { InceptionScore } from "../metrics/inception-score.js";
import { kernelDistance } from "../metrics/kernel-distance.js";
import { Moments } from "../metrics/moments.js";
import { precisionRecall } from "../metrics/precision-recall.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { liveTensors, scope, Tensor } from "../torch/index.js";
import { type EvaluateOptions, evaluateReconstruction } from "./reconstruction.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-evaluate-"));
const tokenizer = Tokenizer.create("Tiw48d1-Tiw48d1/1x8x4", { seed: 1 });
const video = Tokenizer.create("Tiw48d1-Tiw48d1/2x8x4", { seed: 1 });
const networks = { image: stubInception, video: stubI3d };
afterAll(() => {
  tokenizer.dispose();
  video.dispose();
});

const set = drawnSource({ count: 22, size: 32, split: "val" });
const options: EvaluateOptions = {
  ...{ size: 32, batchSize: 4, networks, fidTap: "64" },
  metrics: ["psnr", "ssim", "fid", "kid", "is"],
};

/** Clips of three drawn pictures each. */
const clips: Source = {
  ...set,
  length: 6,
  load: async (index) =>
    joinFrames(await Promise.all([0, 1, 2].map((frame) => set.load(3 * index + frame)))),
};

/** Within 1e-7 of a value. */
const near = (value: number) => expect.closeTo(value, 7 - Math.ceil(Math.log10(Math.abs(value))));

/** Bytes before and after, [N, 3, T, H, W], of a whole set at once. */
async function bothSides(model: Tokenizer, source: Source): Promise<[Tensor, Tensor]> {
  const loaded = await Promise.all(Array.from({ length: source.length }, (_, i) => source.load(i)));
  return scope(() => {
    const batch = batchOf(loaded);
    const original = Tensor.from(batch.bytes, batch.shape).permute([0, 4, 1, 2, 3]).contiguous();
    return [original, roundToBytes(model.reconstruct(pixelsOf(batch)))];
  });
}

/** Frechet distance of the features of two sets of pictures or clips. */
function distance(real: Tensor, fake: Tensor, network = stubInception): number {
  const tap = network === stubInception ? "64" : "logits";
  const moments = [real, fake].map((pixels) =>
    scope(() => {
      const features = network.forward(pixels, [tap])[tap];
      const moments = new Moments(features.size(1));
      moments.update(features);
      return moments;
    }),
  );
  const value = frechetDistance(moments[0]!, moments[1]!);
  for (const each of moments) each.dispose();
  return value;
}

describe("the pass", () => {
  test("gives the scores that each metric gives by itself, and frees its tensors", async () => {
    const [real, fake] = await bothSides(tokenizer, set);
    const before = liveTensors();
    const { metrics, deviations, protocol, perImage, warnings } = await evaluateReconstruction(
      tokenizer,
      set,
      options,
    );
    expect(liveTensors()).toBe(before);
    const pictures = (bytes: Tensor) => bytes.squeeze(2);
    expect(metrics["rFID-64"]).toEqual(near(distance(pictures(real), pictures(fake))));
    const score = new InceptionScore({ count: set.length, order: "shuffled" });
    scope(() => score.update(stubInception.forward(pictures(fake), ["logits"]).logits));
    const { mean, deviation } = score.compute();
    expect(metrics.rIS).toEqual(near(mean));
    expect(deviations.rIS).toEqual(near(deviation));
    expect(perImage.map(({ file }) => file)).toEqual(
      Array.from({ length: set.length }, (_, i) => set.id(i)),
    );
    expect(protocol).toMatchObject({
      name: "standard",
      count: 22,
      latent: "mean",
      realStats: null,
    });
    expect(protocol.fid).toContain("stub-inception tap 64; averages of 4 x 4 regions");
    expect(warnings).toEqual([expect.stringMatching(/^rFID-64: 22 samples for 64 features/)]);
    score.dispose();
  });

  test("means by class, finds artefacts, and makes the report's pictures again", async () => {
    const scores = await evaluateReconstruction(tokenizer, set, { ...options, galleryCount: 8 });
    const { perClass, perImage, artefacts, gallery } = scores;
    expect(perClass.reduce((sum, { count }) => sum + count, 0)).toBe(set.length);
    expect(artefacts.grid.period).toBe(8);
    expect(artefacts.nonFinite).toBe(0);
    const psnrs = perImage.map(({ scores }) => scores.PSNR!);
    const noted = gallery.filter(({ note }) => note === "worst of 22");
    expect(noted[0]?.psnr).toBe(Math.min(...psnrs));
    for (const { file, psnr } of gallery)
      expect(perImage.find((image) => image.file === file)?.scores.PSNR).toBe(psnr);
  });

  test("leaves out what cannot be read, from the Inception Score too", async () => {
    const holed: Source = {
      ...set,
      load: (index) =>
        index === 5 ? Promise.reject(new MediaError("x.png", "is broken")) : set.load(index),
    };
    const { protocol, unreadable, metrics } = await evaluateReconstruction(
      tokenizer,
      holed,
      options,
    );
    expect(protocol.count).toBe(21);
    expect(unreadable).toHaveLength(1);
    expect(metrics.rIS).toBeGreaterThan(1);
  });
});

describe("scores of features", () => {
  const metrics = ["fid", "fid-inf", "kid", "pr"] as const;

  test("are those that each gives by itself of all features", async () => {
    const scores = await evaluateReconstruction(tokenizer, set, { ...options, metrics });
    const [real, fake] = await bothSides(tokenizer, set);
    scope(() => {
      const [x, y] = [real, fake].map(
        (bytes) => stubInception.forward(bytes.squeeze(2), ["64"])["64"],
      ) as [Tensor, Tensor];
      const { precision, recall } = precisionRecall(x, y);
      const moments = new Moments(64);
      moments.update(x);
      const { distance } = extrapolateFrechet(moments, y);
      moments.dispose();
      const { mean, deviation } = kernelDistance(x, y);
      expect(scores.metrics).toMatchObject({
        "rKID-64": near(mean),
        "rPrecision-64": precision,
        "rRecall-64": recall,
      });
      expect(scores.deviations["rKID-64"]).toBeLessThan(1e-6 * mean); // a subset is the whole set
      expect(deviation).toBeLessThan(1e-6 * mean);
      // Subsets of features are drawn from them in another order: the line through them is about the same.
      expect(Math.abs(scores.metrics["rFID-inf-64"]! - distance)).toBeLessThan(0.2 * distance);
    });
    expect(scores.protocol.kid).toContain("tap 64");
    expect(scores.protocol.psnr).toBeNull();
  });

  test("are no part of the paper's protocol", async () => {
    const paper = { ...options, metrics, fidTap: "2048", protocol: "vitok-paper" } as const;
    await expect(evaluateReconstruction(tokenizer, set, paper)).rejects.toThrow(
      /author's evaluator has.*received fid-inf/,
    );
  });
});

describe("a killed evaluation", () => {
  const path = join(folder, "state.safetensors");
  const state = { path, isResumed: true, everyMs: 0 };
  const kill = (done: number) => {
    if (done >= 12) throw new Error("killed");
  };

  test("goes on to the same scores", async () => {
    const whole = await evaluateReconstruction(tokenizer, set, options);
    const killed = evaluateReconstruction(tokenizer, set, { ...options, state, onProgress: kill });
    await expect(killed).rejects.toThrow("killed");
    const seen: number[] = [];
    const onProgress = (done: number) => void seen.push(done);
    const before = liveTensors();
    const resumed = await evaluateReconstruction(tokenizer, set, { ...options, state, onProgress });
    expect(liveTensors()).toBe(before);
    expect(seen).toEqual([12, 16, 20, 22]);
    expect(resumed.metrics).toEqual(whole.metrics);
    expect(resumed.perImage).toEqual(whole.perImage);
    expect(resumed.artefacts).toEqual(whole.artefacts);
    expect(resumed.protocol).toEqual(whole.protocol);
  });

  test("is not gone on with under another protocol", async () => {
    const other = { ...options, state, metrics: ["psnr"], protocol: "vitok-paper" } as const;
    await expect(
      evaluateReconstruction(tokenizer, set, { ...other, fidTap: "2048" }),
    ).rejects.toThrow(/name: "standard", now "vitok-paper"[\s\S]*without --resume/);
  });
});

describe("saved statistics of the originals", () => {
  const realStats = join(folder, "real.npz");

  test("are written once and then stand for the set itself", async () => {
    const first = await evaluateReconstruction(tokenizer, set, { ...options, realStats });
    const second = await evaluateReconstruction(tokenizer, set, { ...options, realStats });
    expect(readdirSync(folder)).toContain("real.npz");
    expect(second.metrics["rFID-64"]).toEqual(near(first.metrics["rFID-64"]!));
    expect(second.protocol).toEqual(first.protocol);
  });

  test("are named in the passport where they are of another set, and refused of another crop", async () => {
    const other = drawnSource({ count: 12, size: 32, split: "train" });
    const { protocol } = await evaluateReconstruction(tokenizer, other, { ...options, realStats });
    expect(protocol.realStats).toMatch(/^[0-9a-f]{16}$/);
    await expect(
      evaluateReconstruction(tokenizer, set, { ...options, size: 24, realStats }),
    ).rejects.toThrow("  size: 32, here 24");
  });
});

describe("clips", () => {
  const scoring = { ...options, metrics: ["psnr", "fid", "fvd"] } as const;

  test("have a Frechet distance as wholes, and of all their frames as one set", async () => {
    const [real, fake] = await bothSides(video, clips);
    const { metrics } = await evaluateReconstruction(video, clips, scoring);
    expect(metrics.rFVD).toEqual(near(distance(real, fake, stubI3d)));
    const frames = (bytes: Tensor) => bytes.permute([0, 2, 1, 3, 4]).reshape([18, 3, 32, 32]);
    expect(metrics["rFID-64"]).toEqual(near(distance(frames(real), frames(fake))));
  });

  test("are what fvd needs", async () => {
    await expect(evaluateReconstruction(tokenizer, set, scoring)).rejects.toThrow(
      /Expected clips for fvd, received pictures/,
    );
  });
});

describe("protocol vitok-paper", () => {
  test("truncates, pools the error of a batch and says so", async () => {
    const { metrics, protocol, intervals, perImage } = await evaluateReconstruction(
      tokenizer,
      set,
      {
        ...{ size: 32, batchSize: 22, metrics: ["psnr"], protocol: "vitok-paper" },
      },
    );
    const errors = perImage.map(({ scores }) => 255 ** 2 / 10 ** (scores.PSNR! / 10));
    const pooled = errors.reduce((sum, error) => sum + error, 0) / errors.length;
    expect(metrics.PSNR).toBeCloseTo(10 * Math.log10(255 ** 2 / pooled), 9);
    expect(intervals.PSNR).toBeNaN();
    expect(protocol).toMatchObject({
      ...{ name: "vitok-paper", batchSize: 22, psnr: "pooled error of a batch" },
      ...{ resize: "bilinear, antialiased", rounding: "truncated to uint8" },
    });
  });
});
