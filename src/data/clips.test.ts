// Videos as training data, on files made here whose frames carry their number: windows, lists, animations, packed shards.
// The reference is the definition of a window: frame k is what is on the screen at start + (k + 1/2) / fps.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { canTestVideo, makeVideo, numberedClip, numbersOf } from "../../test/video-files.js";
import { encodeAnimation, readAnimation } from "../media/animation.js";
import { createClip, frameOf } from "../media/clip.js";
import type { Batch } from "./batch.js";
import { ClipReader } from "./clip-file.js";
import { parseList } from "./list-file.js";
import { Loader, type LoaderOptions } from "./loader.js";
import { packedClips } from "./packed-clips.js";
import { packShards } from "./shards/pack.js";
import { openSource, type Source } from "./source.js";
import { trainingCrop } from "./transform.js";

const root = mkdtempSync(join(tmpdir(), "vitok-clips-"));
afterAll(() => rmSync(root, { recursive: true }));
const videos = join(root, "videos");
const size = { height: 32, width: 48 };
const window = { frames: 4, fps: 5 };
const canRun = canTestVideo();

const files = ["run/a.mp4", "run/b.avi", "swim/c.mp4"];
beforeAll(() => {
  if (!canRun) return;
  for (const [i, file] of files.entries()) {
    mkdirSync(join(videos, file, ".."), { recursive: true });
    makeVideo(join(videos, file), numberedClip(20 + 2 * i, size), { args: ["-g", "6"] });
  }
});

const training = { batchSize: 3, size: 16, seed: 5, augment: true } as const;

async function take(source: Source, count: number, options: LoaderOptions): Promise<Batch[]> {
  const loader = new Loader(source, options);
  const batches: Batch[] = [];
  for (let i = 0; i < count; i++) batches.push((await loader.next())!);
  loader.close();
  return batches;
}

const clipsIn = ({ bytes, shape: [count, frames, height, width] }: Batch) =>
  Array.from({ length: count }, (_, i) => {
    const length = bytes.length / count;
    return createClip(bytes.subarray(i * length, (i + 1) * length), { frames, height, width });
  });

describe.skipIf(!canRun)("a folder of videos", () => {
  it("is a set of clips by class, of which evaluation sees the middle", async () => {
    const source = await openSource(videos, window);
    expect(source).toMatchObject({ name: "videos", length: 3, classes: ["run", "swim"] });
    expect([0, 1, 2].map((i) => [source.id(i), source.label(i)])).toEqual([
      ["run/a.mp4", 0],
      ["run/b.avi", 0],
      ["swim/c.mp4", 1],
    ]);
    expect(numbersOf(await source.load(0))).toEqual([6, 8, 10, 12]); // 0.6 s to 1.4 s of 2 s
    expect(numbersOf(await source.load(0, { at: 0 }))).toEqual([0, 2, 4, 6]);
  });

  it("gives every sample a window of its own that any process finds again", async () => {
    const source = await openSource(videos, window);
    const whole = await take(source, 4, training);
    const starts = whole.flatMap((batch) => clipsIn(batch).map((clip) => numbersOf(clip)[0]));
    expect(new Set(starts).size).toBeGreaterThan(4);
    expect(whole[0]!.shape).toEqual([3, 4, 16, 16, 3]);
    const [resumed] = await take(source, 1, { ...training, startSample: 6 });
    expect(resumed).toEqual(whole[2]);
    const anew = await openSource(videos, window);
    expect((await take(anew, 1, { ...training, startSample: 9 }))[0]).toEqual(whole[3]);
  });

  it("gives single frames where no window of several is asked for, and asks for videos where one is", async () => {
    const reader = new ClipReader(undefined);
    const clip = await reader.read({ path: join(videos, "run/a.mp4"), extension: "mp4" });
    expect(clip).toMatchObject({ frames: 1, ...size });
    await expect(openSource(videos)).rejects.toThrow("Expected files ending in jpg");
    const picture = new ClipReader(window).read({ path: "x.png", extension: "png" });
    await expect(picture).rejects.toThrow("is a picture, where clips of 4 frames are wanted");
  });

  it("shrinks large frames while decoding, but never below the smallest crop", async () => {
    const source = await openSource(videos, window);
    expect(await source.load(0, { shortSide: 20 })).toMatchObject({ height: 20, width: 30 });
    expect(await source.load(0, { shortSide: 40 })).toMatchObject(size);
  });

  it("is read from lists: UCF-101's, Kinetics's, with a word on what is missing", async () => {
    const ucf = join(root, "trainlist01.txt");
    writeFileSync(ucf, "swim/c.mp4 2\r\nrun/b.avi 1\n");
    const source = await openSource(`${ucf}?root=${videos}`, window);
    expect([source.name, source.id(0), source.id(1)]).toEqual([
      "trainlist01",
      "swim/c.mp4",
      "run/b.avi",
    ]);
    expect([source.label(0), source.label(1)]).toEqual([1, 0]);
    writeFileSync(ucf, "swim/c.mp4 2\nswim/gone.mp4 2\n");
    await expect(openSource(`${ucf}?root=${videos}`, window)).rejects.toThrow("swim/gone.mp4");
    const rest = await openSource(`${ucf}?root=${videos}&missing=skip`, window);
    expect(rest.length).toBe(1);
    await expect(openSource(`${ucf}?rot=x`, window)).rejects.toThrow("root=DIR");
  });

  it("is packed into shards whose clips are those of the files", async () => {
    const options = { size: 16, fps: 10, seconds: 2, quality: 95 };
    const whole = { frames: 20, fps: 10 };
    const out = join(root, "shards");
    const source = packedClips(await openSource(videos, whole), options);
    const packed = await packShards(source, { out, shardSize: 2 });
    expect(packed).toMatchObject({ samples: 3, shards: 2, unreadable: [] });
    const shards = await openSource(out, whole);
    expect(shards).toMatchObject({ length: 3, classes: ["run", "swim"], fps: 10 });
    for (let i = 0; i < 3; i++) {
      const clip = await shards.load(i);
      expect(clip).toMatchObject({ frames: 20, height: 16, width: 24 });
      const first = numbersOf(clip)[0]!; // longer videos give their middle
      expect(numbersOf(clip)).toEqual(Array.from({ length: 20 }, (_, k) => first + k));
    }
    const [batch] = await take(await openSource(out, window), 1, training);
    expect(batch!.shape).toEqual([3, 4, 16, 16, 3]);
    const again = join(root, "again"); // films go over as they are, and no video is made of them
    await packShards(shards, { out: again, shardSize: 3 });
    expect(await (await openSource(again)).files!(2)).toEqual(await shards.files!(2));
    const twice = packShards(packedClips(shards, options), {
      out: join(root, "twice"),
      shardSize: 3,
    });
    await expect(twice).rejects.toThrow("which is packed already. Leave --fps out");
  });
});

it("reads Kinetics's lists by identity and time, whatever is in a label", () => {
  const csv =
    'label,youtube_id,time_start,time_end,split\n"a, b",--x_Y,3,13,train\nswim,zz,100,110,train\n';
  expect(parseList(csv, "train.csv")).toEqual(["--x_Y_000003_000013", "zz_000100_000110"]);
  expect(() => parseList("a,b\n", "t.csv")).toThrow("Expected a column youtube_id in t.csv");
  expect(() => parseList("\n", "t.txt")).toThrow("received an empty list");
});

it("keeps an animation's frames and times, and reads windows of it", async () => {
  const clip = numberedClip(12, { height: 8, width: 12 });
  const file = await encodeAnimation(clip, { fps: 30 });
  expect(await readAnimation(file)).toEqual(clip);
  const part = await readAnimation(file, { window: { frames: 3, fps: 15 }, at: 1 });
  expect(numbersOf(part)).toEqual([6, 8, 10]);
  const long = await readAnimation(file, { window: { frames: 5, fps: 10 } });
  expect(numbersOf(long)).toEqual([1, 4, 7, 10, 11]);
  await expect(readAnimation(file.subarray(0, 60), { name: "cut.webp" })).rejects.toThrow(
    "cut.webp",
  );
});

it("crops and mirrors all frames of a clip alike", async () => {
  const still = createClip(
    Uint8Array.from({ length: 24 * 32 * 3 }, (_, i) => (i * 7) % 251),
    { height: 24, width: 32 },
  );
  const bytes = new Uint8Array(3 * still.bytes.length);
  for (let k = 0; k < 3; k++) bytes.set(still.bytes, k * still.bytes.length);
  const clip = createClip(bytes, { frames: 3, height: 24, width: 32 });
  const { randomStream } = await import("./random.js");
  for (let seed = 0; seed < 8; seed++) {
    const crop = trainingCrop(clip, { height: 16, width: 16 }, randomStream(seed));
    expect(frameOf(crop, 2).bytes).toEqual(frameOf(crop, 0).bytes);
  }
});
