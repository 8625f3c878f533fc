// Every kind of picture file, made here by sharp and read back: exact where the format is lossless,
// within 8/255 in the mean for JPEG, 16/255 through the printing colours of CMYK.
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import { afterAll, describe, expect, it } from "vitest";
import { drawPicture } from "../data/drawn.js";
import { type Clip, createClip, frameOf, joinFrames } from "./clip.js";
import { MediaError } from "./error.js";
import { encodeImage, rawImage, readImage, tile, writeImage } from "./image.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-image-"));
afterAll(() => rmSync(folder, { recursive: true }));

const picture = drawPicture([1, 2], 48);
const flat = (colour: readonly number[], width = 8): Clip =>
  createClip(
    Uint8Array.from({ length: 8 * width * 3 }, (_, at) => colour[at % 3]!),
    {
      height: 8,
      width,
    },
  );
const firstPixel = (clip: Clip): number[] => [...clip.bytes.subarray(0, 3)];

describe("reading", () => {
  it.each(["png", "webp"])("gets back what was written without loss as %s", async (format) => {
    const path = join(folder, `exact.${format}`);
    await writeImage(path, picture);
    expect(await readImage(path)).toEqual(picture);
  });

  it("gets back a JPEG within its loss", async () => {
    const clip = await readImage(await encodeImage(picture, "jpg"));
    const error = clip.bytes.reduce(
      (sum, value, at) => sum + Math.abs(value - picture.bytes[at]!),
      0,
    );
    expect(error / clip.bytes.length).toBeLessThan(8);
  });

  it("turns a picture upright by its EXIF orientation", async () => {
    const wide = createClip(new Uint8Array(8 * 16 * 3), { height: 8, width: 16 });
    const file = await rawImage(wide).withMetadata({ orientation: 6 }).jpeg().toBuffer();
    expect(await readImage(file)).toMatchObject({ height: 16, width: 8 });
  });

  it("makes grey into RGB", async () => {
    const file = await rawImage(flat([90, 90, 90]))
      .toColourspace("b-w")
      .png()
      .toBuffer();
    expect((await sharp(file).metadata()).channels).toBe(1);
    expect(firstPixel(await readImage(file))).toEqual([90, 90, 90]);
  });

  it("keeps the upper byte of 16-bit samples, grey or RGB", async () => {
    for (const channels of [1, 3] as const) {
      const samples = Uint16Array.from({ length: 64 * channels }, (_, at) => at * 256 + 200);
      const file = await sharp(samples, { raw: { width: 8, height: 8, channels } })
        .toColourspace(channels === 1 ? "grey16" : "rgb16")
        .png()
        .toBuffer();
      expect((await sharp(file).metadata()).depth).toBe("ushort");
      const expected = Array.from({ length: 3 }, (_, c) => (channels === 1 ? 9 : 9 * 3 + c));
      expect([...(await readImage(file)).bytes.subarray(27, 30)]).toEqual(expected);
    }
  });

  it("lays transparency on white", async () => {
    const clear = { r: 200, g: 0, b: 0, alpha: 0.5 };
    const create = { width: 8, height: 8, channels: 4 as const, background: clear };
    const [red, green, blue] = firstPixel(
      await readImage(await sharp({ create }).png().toBuffer()),
    );
    expect(red).toBeCloseTo(227, -1);
    expect(green).toBeCloseTo(127, -1);
    expect(blue).toBe(green);
  });

  it("reads palettes, CMYK and the first frame of an animation as RGB", async () => {
    const colour = [150, 120, 90];
    const frames = [colour, [0, 0, 0]].map((shade) => encodeImage(flat(shade), "png"));
    const files = [
      await rawImage(flat(colour)).png({ palette: true }).toBuffer(),
      await rawImage(flat(colour)).toColourspace("cmyk").jpeg({ quality: 100 }).toBuffer(),
      await sharp(await Promise.all(frames), { join: { animated: true } })
        .gif()
        .toBuffer(),
    ];
    expect((await sharp(files[1]).metadata()).space).toBe("cmyk");
    expect((await sharp(files[2]).metadata()).pages).toBe(2);
    for (const file of files) {
      const clip = await readImage(file);
      expect(clip).toMatchObject({ frames: 1, height: 8, width: 8 });
      firstPixel(clip).forEach((value, c) => {
        expect(Math.abs(value - colour[c]!)).toBeLessThanOrEqual(16);
      });
    }
  });
});

describe("files at fault", () => {
  it.each([
    ["missing", undefined],
    ["empty", Buffer.alloc(0)],
    ["text", Buffer.from("not a picture")],
  ])("are named: %s", async (name, content) => {
    const path = join(folder, `${name}.png`);
    if (content) writeFileSync(path, content);
    const failure = await readImage(path).catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(MediaError);
    expect(failure).toMatchObject({ file: path });
  });

  it.each(["png", "jpg", "webp"])("are refused where a %s is cut short", async (format) => {
    const whole = await encodeImage(picture, format);
    const cut = whole.subarray(0, whole.length / 2);
    await expect(readImage(cut, { name: "cut" })).rejects.toThrow(/^cut: cannot be read/);
  });

  it("are refused before decoding where they are too large", async () => {
    const file = await encodeImage(picture, "png");
    await expect(readImage(file, { pixelLimit: 1000 })).rejects.toThrow("pixel limit");
  });
});

describe("writing", () => {
  it("leaves nothing behind when it fails", async () => {
    await writeImage(join(folder, "taken.png"), picture); // a file where a folder is wanted
    const before = readdirSync(folder).length;
    await expect(writeImage(join(folder, "x.bmp"), picture)).rejects.toThrow("png, webp or jpg");
    await expect(writeImage(join(folder, "taken.png", "x.png"), picture)).rejects.toThrow(
      MediaError,
    );
    expect(readdirSync(folder)).toHaveLength(before);
  });

  it("takes one frame only", async () => {
    const film = joinFrames([picture, picture]);
    await expect(encodeImage(film, "png")).rejects.toThrow("Expected 1 frame");
    await expect(encodeImage(frameOf(film, 1), "png")).resolves.toBeInstanceOf(Buffer);
  });
});

it("tiles pictures row by row on a background", () => {
  const sheet = tile([flat([1, 1, 1]), flat([2, 2, 2]), flat([3, 3, 3])], 2, {
    gap: 1,
    background: 9,
  });
  expect(sheet).toMatchObject({ height: 17, width: 17 });
  const at = (y: number, x: number) => sheet.bytes[(y * 17 + x) * 3];
  expect([at(0, 0), at(0, 8), at(0, 9), at(9, 0), at(16, 16)]).toEqual([1, 9, 2, 3, 9]);
});
