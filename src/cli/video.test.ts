// encode, decode and reconstruct on video files made here: sizes, rates, lengths and sound come back; bad files are named and
// passed over; windows and a memory budget are obeyed. No reference for the pixels: those are codec/stream.test.ts's.
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from "vitest";
import { canTestVideo, makeVideo, numberedClip, sine } from "../../test/video-files.js";
import { openLatents } from "../codec/latent-stream.js";
import { drawPicture } from "../data/drawn.js";
import { readImage, writeImage } from "../media/image.js";
import { readVideo } from "../media/video.js";
import { probeVideo } from "../media/video-info.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { run as decode } from "./decode.js";
import { run as encode } from "./encode.js";
import { run as reconstruct } from "./reconstruct.js";

const root = mkdtempSync(join(tmpdir(), "vitok-cli-video-"));
afterAll(() => rmSync(root, { recursive: true }));
const here = (name: string) => join(root, name);
const size = { height: 34, width: 50 };
const device = "cpu";

let printed = "";
const result = () => JSON.parse(printed) as { files: Record<string, never>[]; peakBytes: number };
beforeEach(() => {
  printed = "";
  vi.spyOn(process.stdout, "write").mockImplementation((text) => {
    printed += text;
    return true;
  });
  vi.spyOn(process.stderr, "write").mockReturnValue(true);
});

beforeAll(() => {
  const tokenizer = Tokenizer.create("Tiw48d1h2-Tiw48d1h2/2x8x6", { seed: 1 });
  tokenizer.save(here("model"), { provenance: { size: 32, frames: 8, fps: 10 } });
  tokenizer.dispose();
});

describe.skipIf(!canTestVideo())("a video", () => {
  const film = () => {
    const options = { inputs: sine(2.5), args: ["-c:a", "aac"] };
    return existsSync(here("film.mp4"))
      ? here("film.mp4")
      : makeVideo(here("film.mp4"), numberedClip(25, size), options);
  };

  it("goes into latents with its timing and comes back at its rate, length and size, with its sound", async () => {
    const out = here("film.safetensors");
    expect(await encode([here("model"), [film()]], { out, device, json: true })).toBe(0);
    const [latent] = openLatents(out).latents;
    expect(latent).toMatchObject({
      ...{ fps: 10, size: { frames: 25, ...size }, grid: { t: 13, h: 5, w: 7 } },
      shape: [13 * 35, 6],
    });
    const options = { out: here("decoded"), device, audio: true, videoFormat: "mp4" } as const;
    await decode([here("model"), out], options);
    const info = await probeVideo(here("decoded/film.mp4"));
    expect(info).toMatchObject({ ...size, fps: 10, durationS: 2.5, sound: "aac" });
    expect((await readVideo(here("decoded/film.mp4"))).frames).toBe(25);
    await decode([here("model"), out], { ...options, audio: false, videoFormat: "frames" });
    expect(readdirSync(here("decoded/film"))).toHaveLength(25);
  });

  it("is sampled at another rate, and its windows are those asked for", async () => {
    const out = here("slow.safetensors");
    await encode([here("model"), [film()]], { out, device, fps: 4, chunk: 4, tile: 24 });
    expect(openLatents(out).latents[0]).toMatchObject({
      fps: 4,
      size: { frames: 10 },
      grid: { t: 5 },
    });
    const uneven = encode([here("model"), [film()]], { out, device, tile: 20 });
    await expect(uneven).rejects.toThrow("Expected a multiple of 8 pixels for --tile");
  });

  it("is shown beside its reconstruction, with scores of all frames and the seams of its chunks", async () => {
    const options = { out: here("recon"), device, json: true };
    expect(await reconstruct([here("model"), [film()]], options)).toBe(0);
    const [file] = result().files;
    expect(file).toMatchObject({ frames: 25, ...size, fps: 10, PSNR: expect.any(Number) });
    expect(file!.seams).toBeGreaterThan(0);
    expect(await probeVideo(here("recon/film.compare.mp4"))).toMatchObject({
      height: 34,
      width: 154,
      durationS: 2.5,
    });
  });

  it("has no seams where a model takes every frame by itself", async () => {
    const tokenizer = Tokenizer.create("Tiw48d1h2-Tiw48d1h2/8", { seed: 1 });
    tokenizer.save(here("pictures"), { provenance: { size: 32 } });
    tokenizer.dispose();
    const options = { out: here("frames"), device, size: 16, json: true };
    expect(await reconstruct([here("pictures"), [film()]], options)).toBe(0);
    const [file] = result().files;
    expect(file).toMatchObject({ frames: 25 });
    expect(file).not.toHaveProperty("seams");
  });

  it("that is damaged is named and passed over, and nothing of it is left", async () => {
    writeFileSync(here("bad.mp4"), "no video");
    writeFileSync(here("empty.mp4"), "");
    const files = [here("bad.mp4"), film(), here("empty.mp4")];
    const out = here("some.safetensors");
    expect(await encode([here("model"), files], { out, device, json: true })).toBe(1);
    expect(openLatents(out).latents.map(({ source }) => source)).toEqual([film()]);
    expect(JSON.parse(printed).failed).toHaveLength(2);
    expect(
      await encode([here("model"), [here("bad.mp4")]], { out: here("no.safetensors"), device }),
    ).toBe(1);
    expect(readdirSync(root).filter((name) => name.startsWith("no.saf"))).toEqual([]);
  });
});

it("takes a large picture through tiles under a budget of memory, and says what it took", async () => {
  await writeImage(here("large.png"), drawPicture([7], 600));
  const budget = 1.4 * process.memoryUsage().rss + 128 * 2 ** 20; // a fifth of it is held back
  const options = { out: here("tiled"), device, json: true, memory: budget, tile: 64 };
  expect(await reconstruct([here("model"), [here("large.png")]], options)).toBe(0);
  const { files, peakBytes } = result();
  expect(files[0]!.seams).toBeGreaterThan(0.5);
  expect(files[0]!.seams).toBeLessThan(1.5);
  expect(peakBytes).toBeGreaterThan(0);
  expect(await readImage(here("tiled/large.png"))).toMatchObject({ height: 600, width: 600 });
  const small = reconstruct([here("model"), [here("large.png")]], { ...options, memory: 2 ** 20 });
  await expect(small).rejects.toThrow(/Expected at least \d+MiB for --memory for 600 x 600 pixels/);
});

it("replaces no file by its own reconstruction", async () => {
  await writeImage(here("own.png"), drawPicture([8], 32));
  const before = readFileSync(here("own.png"));
  const own = reconstruct([here("model"), [here("own.png")]], { out: root, device });
  await expect(own).rejects.toThrow(/another folder than that of .*own\.png for --out/);
  expect(readFileSync(here("own.png"))).toEqual(before);
});
