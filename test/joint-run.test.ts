// A run over videos and pictures in turn, on files made here: it learns both, resumes to the same weights bit for bit (one
// thread, float32; reference: the run left alone), and says so where its files are no videos.
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { drawPicture } from "../src/data/drawn.js";
import { joinFrames } from "../src/media/clip.js";
import { writeImage } from "../src/media/image.js";
import { parseTrainConfig, type TrainConfig } from "../src/train/config.js";
import { readRun } from "../src/train/log.js";
import { train } from "../src/train/trainer.js";
import { canTestVideo, makeVideo, sine } from "./video-files.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-joint-"));
afterAll(() => rmSync(scratch, { recursive: true }));
const here = (...names: string[]) => join(scratch, ...names);

const configOf = (path: string) =>
  parseTrainConfig({
    model: { variant: "Tiw48d1h2-Tiw48d1h2/2x8x6" },
    data: { path, size: 16, frames: 4, fps: 8, images: { path: here("pictures"), share: 0.5 } },
    losses: { lpips: 0 },
    train: {
      ...{ steps: 12, batchSize: 2, peakLr: 2e-3, precision: "float32", threads: 1 },
      ...{ logEvery: 1, evalEvery: 0, saveEvery: 6, gridEvery: 0 },
    },
    evaluate: { count: 2, metrics: ["psnr"] },
  });

const weights = (run: string) => readFileSync(here(run, "model", "model.safetensors"));

describe.skipIf(!canTestVideo())("joint training", () => {
  let config: TrainConfig;

  beforeAll(async () => {
    for (const folder of ["videos", "pictures", "cut"]) mkdirSync(here(folder));
    for (const k of [0, 1, 2]) {
      makeVideo(
        here("videos", `${k}.mp4`),
        joinFrames([0, 1, 2, 3, 4, 5, 6, 7].map((t) => drawPicture([k, t], 24))),
        { fps: 8 },
      );
      await writeImage(here("pictures", `${k}.png`), drawPicture([9, k], 24));
    }
    config = configOf(here("videos"));
    await train(config, { out: here("whole"), command: "" });
  });

  it("learns from both and scores clips", () => {
    const run = readRun(here("whole"))!;
    expect(run.end?.state).toBe("done");
    const losses = run.steps.map(({ loss }) => loss ?? Number.NaN);
    const mean = (values: number[]) => values.reduce((sum, x) => sum + x, 0) / values.length;
    expect(mean(losses.slice(-4))).toBeLessThan(0.8 * mean(losses.slice(0, 4)));
    expect(run.evals.at(-1)!.protocol).toMatchObject({
      window: "4 frames at 8 fps, the middle of each video",
    });
  });

  it("goes on where it was stopped, to the same weights", async () => {
    const out = here("parts");
    cpSync(here("whole"), out, { recursive: true });
    for (const gone of ["model", "checkpoints/step-0000012"])
      rmSync(join(out, gone), { recursive: true });
    await train(config, { out, command: "", resume: true });
    expect(readRun(out)!.run.resumedAtStep).toBe(6);
    expect(weights("parts").equals(weights("whole"))).toBe(true);
  });

  it.each([
    ["empty", () => writeFileSync(here("cut", "a.mp4"), "")],
    [
      "cut short",
      () =>
        writeFileSync(here("cut", "a.mp4"), readFileSync(here("videos", "0.mp4")).subarray(0, 900)),
    ],
    [
      "sound only",
      () =>
        makeVideo(here("cut", "a.mp4"), drawPicture([1], 16), {
          inputs: sine(1),
          args: ["-map", "1:a"],
        }),
    ],
  ])("stops before its first step over a file that is %s, and names it", async (_, spoil) => {
    spoil();
    const run = train(configOf(here("cut")), { out: here("never"), command: "" });
    await expect(run).rejects.toThrow(/a\.mp4/);
  });
});
