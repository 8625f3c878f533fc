// Scores of files against files: what matches what, saved statistics, and what is refused in which words. Features are a
// stub network's; against other tools the whole is checked in src/perceptual/inception-golden.test.ts.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stubI3d, stubInception } from "../../test/stub-networks.js";
import { canTestVideo, makeVideo, numberedClip } from "../../test/video-files.js";
import { drawnSource } from "../data/drawn-source.js";
import { openFolder } from "../data/folder.js";
import { packShards } from "../data/shards/pack.js";
import { openSource } from "../data/source.js";
import type { Clip } from "../media/clip.js";
import { writeImage } from "../media/image.js";
import { writeSafetensors } from "../nn/safetensors.js";
import { liveTensors, scope, Tensor, zeros } from "../torch/index.js";
import { type PictureSetOptions, saveSetStatistics, scorePictureSets } from "./picture-sets.js";
import { type Plan, planOf, rules } from "./plan.js";
import { scoreSets } from "./set-scores.js";
import { SetStatistics } from "./set-statistics.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-sets-"));
const options: PictureSetOptions = {
  ...{ metrics: ["psnr", "fid"], batchSize: 3, device: "cpu", fidTap: "64" },
  networks: { image: stubInception },
};

/** Writes pictures of the given widths, `shift` brighter, and opens their folder. */
async function pictures(name: string, widths: number[], { shift = 0, extension = "png" } = {}) {
  const drawn = drawnSource({ count: widths.length, size: 24 });
  for (const [i, width] of widths.entries()) {
    const whole = await drawn.load(i);
    const rows = Array.from({ length: 24 }, (_, y) =>
      whole.bytes.slice(72 * y, 72 * y + 3 * width),
    );
    const bytes = Uint8Array.from(Buffer.concat(rows), (value) => Math.min(255, value + shift));
    mkdirSync(join(folder, name), { recursive: true });
    const clip: Clip = { bytes, frames: 1, height: 24, width };
    await writeImage(join(folder, name, `${i}.${extension}`), clip);
  }
  return openFolder(join(folder, name));
}

const mixed = [24, 24, 20, 24, 16, 16, 24];
let real: Awaited<ReturnType<typeof pictures>>;
let fake: typeof real;
beforeAll(async () => {
  real = await pictures("real", mixed);
  fake = await pictures("fake", mixed, { shift: 10, extension: "webp" });
});

describe("two folders", () => {
  test("match by name whatever the extension, and may hold pictures of many sizes", async () => {
    const before = liveTensors();
    const { metrics, perImage, protocol } = await scorePictureSets(real, fake, options);
    expect(liveTensors()).toBe(before);
    expect(Object.keys(metrics)).toEqual(["PSNR", "FID-64"]);
    expect(perImage.map(({ file }) => file)).toEqual(mixed.map((_, i) => `${i}.png`));
    expect(metrics.PSNR).toBeCloseTo(10 * Math.log10(255 ** 2 / 100), 1); // 10 brighter, where there was room
    expect(protocol).toMatchObject({ set: "real", fake: "fake", count: 7, crop: "none" });
  });

  test("of the same files are at a distance of 0", async () => {
    const { metrics } = await scorePictureSets(real, real, options);
    expect(metrics).toEqual({ PSNR: 100, "FID-64": expect.closeTo(0, 5) });
  });

  test("are refused where files have no partner, or one of another size", async () => {
    const fewer = await pictures("fewer", [24, 24]);
    await expect(scorePictureSets(real, fewer, options)).rejects.toThrow(
      "5 have no partner.\n  only in real: 2, 3, 4, 5, 6\n",
    );
    const wider = await pictures("wider", mixed.with(2, 24));
    await expect(scorePictureSets(real, wider, options)).rejects.toThrow(
      "Expected 2.png to be of 1 x 24 x 20 (frames, height, width) as its original 2.png, received 1 x 24 x 24",
    );
  });

  test("are refused with a broken file, and with one file where a covariance is asked for", async () => {
    const one = await pictures("one", [24]);
    await expect(scorePictureSets(one, one, options)).rejects.toThrow(/at least 2 samples/);
    writeFileSync(join(folder, "one", "0.png"), "no picture");
    await expect(scorePictureSets(one, one, options)).rejects.toThrow(/0\.png: cannot be read/);
    const video = { ...options, metrics: ["fvd"], networks: { video: stubI3d } } as const;
    await expect(scorePictureSets(real, fake, video)).rejects.toThrow(/clips for fvd/);
  });
});

describe("sets that are no folders of pictures", () => {
  test("tar shards of a folder score as the folder", async () => {
    await packShards(fake, { out: join(folder, "shards"), shardSize: 3 });
    const shards = await openSource(join(folder, "shards"));
    const fid = { ...options, metrics: ["fid"] } as const;
    const packed = await scorePictureSets(real, shards, fid);
    const plain = await scorePictureSets(real, fake, fid);
    expect(packed.protocol.count).toBe(7);
    expect(packed.metrics["FID-64"]).toBeCloseTo(plain.metrics["FID-64"]!, 6);
  });

  test.skipIf(!canTestVideo())("videos have FVD, and FID of all their frames", async () => {
    const window = { frames: 16, fps: 8 };
    const sides = ["a", "b"].map((side, shift) => {
      mkdirSync(join(folder, "videos", side), { recursive: true });
      for (let i = 0; i < 3; i++) {
        const clip = numberedClip(20, { height: 24, width: 32 });
        const bytes = clip.bytes.map((value) => value / (1 + 0.2 * i) + 20 * shift);
        makeVideo(join(folder, "videos", side, `${i}.mp4`), { ...clip, bytes }, { fps: 8 });
      }
      return join(folder, "videos", side);
    });
    const [a, b] = await Promise.all(sides.map((path) => openSource(path, window)));
    const scores = await scorePictureSets(a!, b!, {
      ...{ ...options, window, metrics: ["psnr", "fid", "fvd"] },
      networks: { image: stubInception, video: stubI3d },
    });
    expect(Object.keys(scores.metrics)).toEqual(["PSNR", "FID-64", "FVD"]);
    expect(scores.metrics.FVD).toBeGreaterThan(0);
    expect(scores.protocol).toMatchObject({
      ...{ count: 3, window: "16 frames at 8 fps, the middle of each video" },
      fvd: expect.stringContaining("stub-i3d logits"),
    });
    expect(scores.warnings.join()).not.toContain("3 samples for 64"); // 48 frames, not 3 clips
  });
});

describe("weights that are not the FID Inception's", () => {
  const fid = { ...options, metrics: ["fid"], networks: undefined } as const;
  const given = (name: string, tensors: Record<string, Tensor>) => {
    const path = join(folder, name);
    scope(() => writeSafetensors(path, tensors));
    return scorePictureSets(real, fake, { ...fid, inceptionPath: path });
  };

  test("are refused before a picture is read", async () => {
    const vision = { "fc.weight": zeros([1000, 2048]) };
    await expect(given("vision.safetensors", vision)).rejects.toThrow(
      /vision\.safetensors.*which is torchvision's ImageNet Inception/,
    );
    await expect(given("other.safetensors", { x: zeros([1]) })).rejects.toThrow(/no Conv2d_1a_3x3/);
    const cut = join(folder, "cut.safetensors");
    writeFileSync(cut, Uint8Array.of(200, 0, 0, 0, 0, 0, 0, 0, 123));
    await expect(scorePictureSets(real, fake, { ...fid, inceptionPath: cut })).rejects.toThrow(
      /cut\.safetensors/,
    );
    for (const tensor of Object.values(vision)) tensor.dispose();
  });

  test("one file is too few for every score of sets", async () => {
    const one = await pictures("alone", [24]);
    for (const metric of ["fid", "is", "kid", "pr", "fid-inf"] as const)
      await expect(
        scorePictureSets(one, one, { ...options, metrics: [metric] }),
        metric,
      ).rejects.toThrow(/Expected .*at least|more than 3/);
  });
});

describe("saved statistics", () => {
  const path = join(folder, "real.npz");
  const fid = { ...options, metrics: ["fid"] } as const;

  test("stand for their set, on either side", async () => {
    await saveSetStatistics(real, { ...fid, saveStats: path });
    const files = await scorePictureSets(real, fake, fid);
    const saved = await scorePictureSets(path, fake, fid);
    expect(saved.metrics["FID-64"]).toBeCloseTo(files.metrics["FID-64"]!, 6);
    expect(saved.protocol).toEqual(files.protocol);
    const other = await scorePictureSets(fake, path, fid);
    expect(other.metrics["FID-64"]).toBeCloseTo(files.metrics["FID-64"]!, 4);
    expect(other.protocol).toMatchObject({ fake: "real", count: 7 });
  });

  test("serve fid alone, and only by the way they were made", async () => {
    await expect(scorePictureSets(path, fake, options)).rejects.toThrow(/pictures for psnr/);
    const changed = { image: { ...stubInception, input: "other" } };
    await expect(scorePictureSets(path, fake, { ...fid, networks: changed })).rejects.toThrow(
      /fid: stub-inception tap 64; averages.*, here stub-inception tap 64; other/,
    );
    await expect(scorePictureSets("none.npz", fake, fid)).rejects.toThrow(/received none/);
  });
});

test("clips under vitok-paper have the mean of the distances of each frame index", () => {
  const standard = planOf({ ...options, metrics: ["fid"] });
  const byFrame: Plan = { ...standard, rules: rules["vitok-paper"] };
  const networks = { image: stubInception, video: undefined };
  const wanted = { fid: true, features: false, is: false, fvd: false };
  const clips = (seed: number) =>
    Tensor.from(
      Uint8Array.from({ length: 8 * 3 * 2 * 8 * 8 }, (_, i) => (i * seed) % 251),
      [8, 3, 2, 8, 8],
    );
  const distanceOf = (plan: Plan, cut: (clips: Tensor) => Tensor) =>
    scope(() => {
      const [a, b] = [7, 11].map((seed) => {
        const side = new SetStatistics(plan, networks, { wanted, count: 8 });
        side.update(cut(clips(seed)), [0, 1, 2, 3, 4, 5, 6, 7]);
        return side;
      });
      const { metrics } = scoreSets(plan, { real: a!, fake: b! });
      a!.dispose();
      b!.dispose();
      return metrics["FID-64"]!;
    });
  const frames = [0, 1].map((t) => distanceOf(standard, (x) => x.narrow(2, t, 1)));
  const expected = (frames[0]! + frames[1]!) / 2;
  expect(distanceOf(byFrame, (x) => x) / expected).toBeCloseTo(1, 7);
  expect(distanceOf(standard, (x) => x) / expected).not.toBeCloseTo(1, 3);
});
