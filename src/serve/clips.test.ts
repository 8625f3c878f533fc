// Clips over HTTP against what the commands' streams make of them in this process: latents within 1e-5, pictures of the
// lossless kinds within 1/255, MP4 above 30 dB of what ffmpeg makes of the expected frames. And what is refused. Parts that
// need ffmpeg skip where it is missing.
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { png, post } from "../../test/service.js";
import { canTestVideo } from "../../test/video-files.js";
import { readLatents } from "../codec/latent-file.js";
import { decodeStream, encodeStream, type Slab } from "../codec/stream.js";
import { usualTiling } from "../codec/tiling.js";
import { encodeAnimation, readAnimation } from "../media/animation.js";
import { type Clip, createClip, frameOf, joinFrames } from "../media/clip.js";
import { readVideo } from "../media/video.js";
import { writeVideo } from "../media/video-writer.js";
import { defineConfig } from "../tokenizer/config.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { scope } from "../torch/index.js";
import { type Service, startService } from "./server.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-serve-clips-"));
const tower = { width: 24, depth: 1, heads: 2 };
const plain = {
  ...{ encoder: tower, decoder: tower, patchSize: 4, tubeletSize: 2 },
  ...{ channels: 3, latentTokens: 0, maskable: false },
};
const trained = { frames: 4, size: 16, fps: 10 };
const film = Tokenizer.create(defineConfig(plain), { seed: 3 });
const latent = Tokenizer.create(defineConfig({ ...plain, latentTokens: 5 }), { seed: 4 });
const picture = Tokenizer.create(defineConfig({ ...plain, tubeletSize: 1 }), { seed: 5 });

let service: Service;
beforeAll(async () => {
  const models = Object.entries({ film, latent, picture }).map(([name, model]) => {
    const provenance = name === "picture" ? { size: 16 } : trained;
    model.save(join(scratch, name), { provenance });
    return { name, folder: join(scratch, name) };
  });
  const limits = { frames: 12, pixels: 32 * 32, clipPixels: 12 * 20 * 24 };
  service = await startService({
    ...{ models, limits, device: "cpu", precision: "float32", port: 0 },
  });
});
afterAll(async () => {
  await service.close();
  for (const model of [film, latent, picture]) model.dispose();
  rmSync(scratch, { recursive: true });
});

/** Waves that move: 20 x 24 pixels. */
const clipOf = (frames: number, height = 20, width = 24): Clip =>
  createClip(
    Uint8Array.from({ length: frames * height * width * 3 }, (_, i) => {
      const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width) % height];
      const t = Math.floor(i / 3 / width / height);
      return 128 + 90 * Math.sin(x / 5 + (i % 3)) * Math.cos(y / 6 + t / 3);
    }),
    { frames, height, width },
  );
const webp = (clip: Clip) => encodeAnimation(clip, { fps: 10 });
const send = (path: string, body: Uint8Array | FormData, type?: string) =>
  post(`${service.url}${path}`, body, type);

/** As `vitok encode` and `vitok decode` do it. */
async function expectedOf(tokenizer: Tokenizer, clip: Clip) {
  const { config } = tokenizer;
  const shape = config.tubeletSize === 1 ? { frames: 1, size: 16 } : trained;
  const options = { tiling: usualTiling(config, shape, clip), source: "test" };
  async function* frames() {
    for (let i = 0; i < clip.frames; i++) yield frameOf(clip, i);
  }
  const slabs: Slab[] = [];
  for await (const { values, slices } of encodeStream(tokenizer, frames(), options))
    slabs.push({ values: values.slice(), slices });
  const size = { frames: clip.frames, height: clip.height, width: clip.width };
  const grid = { h: Math.ceil(clip.height / 4), w: Math.ceil(clip.width / 4) };
  const clips: Clip[] = [];
  async function* again() {
    yield* slabs;
  }
  for await (const part of decodeStream(tokenizer, again(), { ...options, size, grid }))
    clips.push({ ...part, bytes: part.bytes.slice() });
  return { mean: slabs.flatMap(({ values }) => [...values]), recon: joinFrames(clips) };
}

const largest = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length);
  return Array.from(a).reduce((most, value, i) => Math.max(most, Math.abs(value - b[i]!)), 0);
};

describe("an animation", () => {
  test.each<[string, Tokenizer, number]>([
    ["film", film, 4],
    ["film", film, 11], // three windows of four frames, overlapping
    ["picture", picture, 3], // one frame at a time
  ])(
    "becomes the latent that the %s model's stream makes of %#",
    async (model, tokenizer, frames) => {
      const clip = clipOf(frames);
      const response = await send(`/v1/encode?model=${model}`, await webp(clip), "image/webp");
      expect(response.status).toBe(200);
      const file = new Uint8Array(await response.arrayBuffer());
      const expected = await expectedOf(tokenizer, clip);
      scope(() => {
        const [found] = readLatents(file).latents;
        expect(found).toMatchObject({ size: { frames, height: 20, width: 24 }, fps: 10 });
        expect(largest(found!.mean.toArray() as Float32Array, expected.mean)).toBeLessThan(1e-5);
      });
      const decoded = await send(
        `/v1/decode?model=${model}&format=webp`,
        file,
        "application/octet-stream",
      );
      expect(decoded.headers.get("content-type")).toBe("image/webp");
      const recon = await readAnimation(new Uint8Array(await decoded.arrayBuffer()));
      expect(recon).toMatchObject({ frames, height: 20, width: 24 });
      expect(largest(recon.bytes, expected.recon.bytes)).toBeLessThanOrEqual(1);
    },
  );

  test("may come as pictures in a form, one a frame, all of one size", async () => {
    const clip = clipOf(4);
    const formOf = async (frames: readonly Clip[]) => {
      const form = new FormData();
      for (const frame of frames)
        form.append("file", new Blob([new Uint8Array(await png(frame))], { type: "image/png" }));
      return form;
    };
    const frames = [0, 1, 2, 3].map((i) => frameOf(clip, i));
    const response = await send("/v1/encode?fps=6", await formOf(frames));
    const file = new Uint8Array(await response.arrayBuffer());
    const expected = await expectedOf(film, clip);
    scope(() => {
      const { mean, fps, size } = readLatents(file).latents[0]!;
      expect([fps, size.frames]).toEqual([6, 4]);
      expect(largest(mean.toArray() as Float32Array, expected.mean)).toBeLessThan(1e-5);
    });
    const mixed = await formOf([frames[0]!, clipOf(1, 20, 20)]);
    expect((await send("/v1/encode", mixed)).status).toBe(422);
    const many = await formOf(Array.from({ length: 13 }, () => frames[0]!));
    expect((await send("/v1/encode", many)).status).toBe(413);
  });

  test("of too many frames is refused, and a part of it is taken", async () => {
    const body = await webp(clipOf(13));
    const refused = await send("/v1/encode", body, "image/webp");
    expect(refused.status).toBe(413);
    expect(((await refused.json()) as { error: { message: string } }).error.message).toMatch(
      /12 frames .* received 13 x 20 x 24.*fewer frames/,
    );
    const sizeOf = async (query: string) => {
      const response = await send(`/v1/encode?${query}`, body, "image/webp");
      const file = new Uint8Array(await response.arrayBuffer());
      return scope(() => {
        const { size, fps, mean } = readLatents(file).latents[0]!;
        return { frames: size.frames, fps, mean: [...(mean.toArray() as Float32Array)] };
      });
    };
    const [first, later, slow] = await Promise.all(
      ["frames=4", "frames=4&start=0.9", "fps=5"].map(sizeOf),
    );
    expect([first!.frames, slow!.frames, slow!.fps]).toEqual([4, 7, 5]);
    const expected = await expectedOf(
      film,
      joinFrames([9, 10, 11, 12].map((i) => frameOf(clipOf(13), i))),
    );
    expect(largest(later!.mean, expected.mean)).toBeLessThan(1e-5);
  });

  test.each<[string, number, string, RegExp]>([
    ["a picture's format for it", 422, "reconstruct?format=png", /mp4, gif or webp for a clip/],
    ["a start after its end", 422, "encode?start=9", /start before the end, 0.50 s/],
    ["no rate at all", 422, "encode?fps=0", /Query: fps/],
    ["a code that has no place in time", 422, "encode?model=latent", /Latent ViTok/],
  ])("%s: %i", async (_, status, route, message) => {
    const response = await send(`/v1/${route}`, await webp(clipOf(5)), "image/webp");
    const { error } = (await response.json()) as { error: { message: string } };
    expect([response.status, error.message]).toEqual([status, expect.stringMatching(message)]);
  });

  test("with frames too large is refused before it is decoded", async () => {
    const response = await send("/v1/encode", await webp(clipOf(2, 40, 40)), "image/webp");
    expect(response.status).toBe(413);
  });
});

describe("a video", () => {
  beforeEach(({ skip }) => skip(!canTestVideo(), "no ffmpeg"));
  const mp4 = async (clip: Clip, fps = 10) => {
    const path = join(scratch, `${clip.frames}-${clip.height}.mp4`);
    await writeVideo(path, clip, { fps });
    return path;
  };

  test("comes back as a video of its size, rate and length, by a form, too", async () => {
    const path = await mp4(clipOf(6));
    const { recon } = await expectedOf(film, await readVideo(path));
    const expected = join(scratch, "expected.mp4"); // what H.264 loses of noise is not looked at here
    await writeVideo(expected, recon, { fps: 10 });
    const form = new FormData();
    form.set("file", new Blob([readFileSync(path)], { type: "video/mp4" }), "/etc/passwd");
    for (const [body, type] of [
      [readFileSync(path), "video/mp4"],
      [form, undefined],
    ] as const) {
      const response = await send("/v1/reconstruct", body, type);
      expect([response.status, response.headers.get("content-type")]).toEqual([200, "video/mp4"]);
      const result = join(scratch, "result.mp4");
      writeFileSync(result, new Uint8Array(await response.arrayBuffer()));
      const clip = await readVideo(result);
      expect(clip).toMatchObject({ frames: 6, height: 20, width: 24 });
      expect(psnrOf(clip, await readVideo(expected))).toBeGreaterThan(30);
    }
    const gif = await send("/v1/reconstruct?format=gif", readFileSync(path), "video/mp4");
    expect(await readAnimation(new Uint8Array(await gif.arrayBuffer()))).toMatchObject({
      frames: 6,
    });
  });

  const list = "ffconcat version 1.0\nfile /etc/passwd\n";
  const playlist = "#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n";
  test.each<[string, number, () => Promise<Uint8Array> | Uint8Array]>([
    ["a list that names another file", 422, () => Buffer.from(list)],
    ["a playlist", 422, () => Buffer.from(playlist)],
    ["text", 422, () => Buffer.from("no film")],
    ["a video cut short", 422, async () => readFileSync(await mp4(clipOf(12))).subarray(0, 900)],
    ["a video of too many frames", 413, async () => readFileSync(await mp4(clipOf(20)))],
    ["a video of too large frames", 413, async () => readFileSync(await mp4(clipOf(2, 40, 40)))],
  ])("%s: %i, without a word about the server's files", async (_, status, body) => {
    const response = await send("/v1/encode", await body(), "video/mp4");
    const { error } = (await response.json()) as { error: { message: string } };
    expect([response.status, error.message]).toEqual([status, expect.not.stringContaining("/")]);
    expect(readdirSync(tmpdir()).filter((name) => name.startsWith("vitok-clip-"))).toEqual([]);
  });
});

/** dB over the range 255. */
function psnrOf(a: Clip, b: Clip): number {
  expect(a.bytes.length).toBe(b.bytes.length);
  const sum = a.bytes.reduce((total, byte, i) => total + (byte - b.bytes[i]!) ** 2, 0);
  return 10 * Math.log10(255 ** 2 / (sum / a.bytes.length));
}
