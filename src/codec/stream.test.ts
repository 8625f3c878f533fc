// Streams and tiles. References: the model on the whole input where one window holds it (exactly the same bytes); a model
// made to see one tubelet at a time, for which windows must change nothing at all; and the definition of the weights.
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { type Clip, createClip, frameOf, joinFrames } from "../media/clip.js";
import { readSafetensors } from "../nn/safetensors.js";
import { parseVariant } from "../tokenizer/config.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { liveTensors, noGrad, scope } from "../torch/index.js";
import { decodeLatent } from "./decode.js";
import { encodeClip } from "./encode.js";
import { LatentWriter, openLatents } from "./latent-stream.js";
import { FlickerMeter, tileSeams } from "./seams.js";
import { decodeStream, encodeStream, type Slab } from "./stream.js";
import { decodeTiled, encodeTiled } from "./tiles.js";
import { axisWindows, type Tiling, usualTiling } from "./tiling.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-stream-"));
afterAll(() => rmSync(folder, { recursive: true }));

const config = parseVariant("Tiw48d1h2-Tiw48d1h2/2x4x6");
const whole: Tiling = { chunk: 1000, overlap: 0, tile: 1000, halo: 0 };
const options = (tiling: Tiling) => ({ tiling, source: "test" });

/** A smooth moving pattern. */
function moving(frames: number, height: number, width: number): Clip {
  const bytes = new Uint8Array(frames * height * width * 3);
  for (let i = 0; i < bytes.length; i++) {
    const [c, x] = [i % 3, Math.floor(i / 3) % width];
    const y = Math.floor(i / (3 * width)) % height;
    const t = Math.floor(i / (3 * width * height));
    bytes[i] = 128 + 90 * Math.sin((x + t) / 5 + c) * Math.cos((y - t / 2) / 7);
  }
  return createClip(bytes, { frames, height, width });
}

async function* framesOf(clip: Clip): AsyncGenerator<Clip, void> {
  for (let i = 0; i < clip.frames; i++) yield frameOf(clip, i);
}

async function collect<T>(items: AsyncIterable<T>): Promise<T[]> {
  const all: T[] = [];
  for await (const item of items) all.push(item);
  return all;
}

async function roundTrip(tokenizer: Tokenizer, clip: Clip, tiling: Tiling): Promise<Clip> {
  const { frames, height, width } = clip;
  const { patchSize: p } = tokenizer.config;
  const slabs = encodeStream(tokenizer, framesOf(clip), options(tiling));
  const grid = { h: Math.ceil(height / p), w: Math.ceil(width / p) };
  const size = { frames, height, width };
  return joinFrames(
    await collect(decodeStream(tokenizer, slabs, { ...options(tiling), grid, size })),
  );
}

/** Attention gives nothing: each token is encoded and decoded by itself, so that no window can matter. */
function localModel(): Tokenizer {
  const tokenizer = Tokenizer.create(config, { seed: 3 });
  scope(() =>
    noGrad(() => {
      for (const { attn } of [...tokenizer.encoder.blocks, ...tokenizer.decoder.blocks])
        for (const tensor of [attn.proj.weight, attn.proj.bias]) tensor?.zero_();
    }),
  );
  return tokenizer;
}

const difference = (a: Clip, b: Clip) =>
  a.bytes.reduce((most, value, i) => Math.max(most, Math.abs(value - b.bytes[i]!)), 0);

describe("windows", () => {
  it("cover an axis, end with it, and their weights add up to one", () => {
    for (const [length, size, shared] of [
      [10, 4, 1],
      [16, 16, 4],
      [23, 7, 3],
      [5, 4, 3],
      [3, 9, 2],
    ] as const) {
      const windows = axisWindows(length, { size, shared, scale: 3 });
      const sums = new Float32Array(length * 3);
      for (const { start, weights } of windows)
        weights.forEach((weight, k) => {
          sums[start * 3 + k]! += weight;
        });
      for (const sum of sums) expect(sum).toBeCloseTo(1, 5);
      expect(windows.at(-1)!.start + windows.at(-1)!.length).toBe(length);
      expect(
        windows.every((w, i) => i === 0 || windows[i - 1]!.start + w.length - w.start >= shared),
      ).toBe(true);
    }
  });

  it("are whole for what fits, tiles of what the model knows for what does not", () => {
    const trained = { size: 128, frames: 16 };
    const video = parseVariant("S-B/4x8");
    expect(usualTiling(video, trained, { frames: 16, height: 128, width: 128 })).toMatchObject({
      chunk: 16,
      overlap: 4,
      tile: 16,
    });
    expect(usualTiling(video, trained, { frames: 900, height: 720, width: 1280 })).toMatchObject({
      chunk: 16,
      tile: 32,
      halo: 8,
    });
    const picture = { frames: 1, height: 512, width: 768 };
    expect(usualTiling(parseVariant("S-B/16"), { size: 256, frames: 1 }, picture)).toMatchObject({
      chunk: 1,
      overlap: 0,
      tile: 48,
    });
  });
});

describe("a stream", () => {
  it("of one window is the model on the whole input, byte for byte", async () => {
    const tokenizer = Tokenizer.create(config, { seed: 1 });
    const clip = moving(7, 18, 26); // no multiples of anything
    const tiled = { chunk: 4, overlap: 2, tile: 4, halo: 1 };
    for (const tiling of [whole, tiled]) await roundTrip(tokenizer, clip, tiling); // rotary tables are kept
    const before = liveTensors();
    const expected = scope(() =>
      decodeLatent(tokenizer, { ...encodeClip(tokenizer, clip), source: "x" }),
    );
    expect(await roundTrip(tokenizer, clip, whole)).toEqual(expected);
    expect(await roundTrip(tokenizer, clip, { ...whole, chunk: 8, overlap: 2 })).toEqual(expected);
    await roundTrip(tokenizer, clip, tiled);
    expect(liveTensors()).toBe(before);
    tokenizer.dispose();
  });

  it("in any windows is the same where the model looks at one tubelet at a time", async () => {
    const tokenizer = localModel();
    for (const frames of [1, 8, 9, 13]) {
      const clip = moving(frames, 26, 34);
      const expected = await roundTrip(tokenizer, clip, whole);
      for (const tiling of [
        { chunk: 4, overlap: 2, tile: 1000, halo: 0 },
        { chunk: 6, overlap: 2, tile: 3, halo: 1 },
        { chunk: 2, overlap: 0, tile: 5, halo: 2 },
      ]) {
        const recon = await roundTrip(tokenizer, clip, tiling);
        expect(recon).toMatchObject({ frames, height: 26, width: 34 });
        expect(difference(recon, expected)).toBeLessThanOrEqual(1); // sums in another order, then rounding
      }
    }
    tokenizer.dispose();
  });

  it("refuses more than a window of a Latent model, and kept lengths, in words", async () => {
    const latent = Tokenizer.create({ ...config, latentTokens: 8 });
    const clip = moving(6, 16, 16);
    await expect(roundTrip(latent, clip, whole)).resolves.toMatchObject({ frames: 6 });
    const tiled = { chunk: 6, overlap: 2, tile: 2, halo: 1 };
    await expect(roundTrip(latent, clip, tiled)).rejects.toThrow("Latent ViTok");
    const cut = { ...whole, chunk: 4, overlap: 2 };
    await expect(roundTrip(latent, clip, cut)).rejects.toThrow("cannot be tiled or cut in time");
    latent.dispose();
    const masked = Tokenizer.create({ ...config, maskable: true });
    const field = encodeTiled(masked, clip, options(whole));
    expect(() => decodeTiled(masked, field, { ...options(tiled), keep: 4 })).toThrow(
      "a kept length",
    );
    masked.dispose();
  });
});

describe("seams", () => {
  const original = moving(16, 32, 32);
  const spoilt = (spoil: (t: number, y: number, x: number) => number): Clip => {
    const bytes = original.bytes.map((value, i) => {
      const [x, y] = [Math.floor(i / 3) % 32, Math.floor(i / 96) % 32];
      return Math.min(
        255,
        Math.max(0, value + spoil(Math.floor(i / 3072), y, x) + ((i * 7919) % 5)),
      );
    });
    return { ...original, bytes };
  };

  it("show as a ratio above one where tiles end, and near one where they do not", () => {
    const tiling = { chunk: 16, overlap: 0, tile: 4, halo: 0 }; // of 4 pixels: a border at 16
    expect(
      tileSeams(
        original,
        spoilt(() => 0),
        4,
        tiling,
      ),
    ).toBeCloseTo(1, 0);
    expect(
      tileSeams(
        original,
        spoilt((_, y, x) => (x < 16 === y < 16 ? 8 : 0)),
        4,
        tiling,
      ),
    ).toBeGreaterThan(2);
  });

  it("show as flicker where chunks meet", () => {
    const tiling = { chunk: 8, overlap: 2, tile: 8, halo: 0 };
    const ratioOf = (recon: Clip) => {
      const meter = new FlickerMeter();
      for (let i = 0; i < 16; i++) meter.add(frameOf(original, i), frameOf(recon, i));
      return meter.ratio(tiling, 2);
    };
    expect(ratioOf(spoilt(() => 0))).toBeCloseTo(1, 0);
    expect(ratioOf(spoilt((t) => (t < 6 ? 8 : 0)))).toBeGreaterThan(1.5);
  });
});

describe("the latent file", () => {
  it("is written in pieces, read in slabs, and says when and how large the frames are", async () => {
    const path = join(folder, "latents.safetensors");
    const writer = new LatentWriter(path);
    const facts = {
      grid: { t: 3, h: 2, w: 2 },
      size: { frames: 5, height: 7, width: 8 },
      source: "a.mp4",
      fps: 29.97,
    };
    writer.write(Float32Array.from({ length: 10 }, () => 9));
    writer.drop(); // a damaged file
    for (let t = 0; t < 3; t++)
      writer.write(Float32Array.from({ length: 24 }, (_, i) => t * 24 + i));
    writer.end(facts, 6);
    writer.write(new Float32Array(24).fill(5));
    writer.end({ ...facts, grid: { t: 1, h: 2, w: 2 }, source: "b.png" }, 6);
    expect(readdirSync(folder)).toHaveLength(1); // the draft
    writer.close("abc");
    expect(readdirSync(folder)).toEqual(["latents.safetensors"]);
    const { latents, model } = openLatents(path);
    expect(model).toBe("abc");
    expect(latents[0]).toMatchObject({ ...facts, shape: [12, 6] });
    const slabs: Slab[] = await collect(latents[0]!.slabs(2));
    expect(slabs.map(({ slices }) => slices)).toEqual([2, 1]);
    expect(slabs.flatMap(({ values }) => [...values])).toEqual(
      Array.from({ length: 72 }, (_, i) => i),
    );
    const tensors = readSafetensors(path);
    expect(tensors["1.mean"]!.shape).toEqual([4, 6]);
    for (const tensor of Object.values(tensors)) tensor.dispose();
  });
});
