// Scores of files against files: what matches what, saved statistics, and what is refused in which words. Features are a
// stub network's; against other tools the whole is checked in src/perceptual/inception-golden.test.ts.

import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { stubI3d, stubInception } from "../../test/stub-networks.js";
import { drawnSource } from "../data/drawn-source.js";
import { openFolder } from "../data/folder.js";
import type { Clip } from "../media/clip.js";
import { writeImage } from "../media/image.js";
import { liveTensors, scope, Tensor } from "../torch/index.js";
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
