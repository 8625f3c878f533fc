// Evaluation crops against Pillow's (test/golden/evaluation-crop.json, written by
// scripts/make-pillow-fixture.py): equal bytes, tolerance 0. Training crops against `resample`, which is
// Pillow's arithmetic: in the mean 0.02/255. Geometry by properties.
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Clip, createClip, joinFrames } from "../media/clip.js";
import { resample } from "../media/resample.js";
import { drawPicture } from "./drawn.js";
import { randomStream } from "./random.js";
import {
  centreBox,
  defaultRanges,
  evaluationCrop,
  randomBox,
  shortSideSize,
  trainingCrop,
} from "./transform.js";

const golden = new URL("../../test/golden/evaluation-crop.json", import.meta.url);

interface Case {
  height: number;
  width: number;
  size: number;
  filter: "bicubic" | "bilinear";
  bytes: string;
}

/** The formula of the Python script. */
function formulaPicture(height: number, width: number): Clip {
  const bytes = Uint8Array.from({ length: height * width * 3 }, (_, at) => {
    const [y, x, c] = [Math.floor(at / 3 / width), Math.floor(at / 3) % width, at % 3];
    return (x * x * 3 + y * 11 + x * y * (c + 1) + c * 70) % 256;
  });
  return createClip(bytes, { height, width });
}

function meanDifference(a: Uint8Array, b: Uint8Array): number {
  expect(a.length).toBe(b.length);
  return a.reduce((sum, value, at) => sum + Math.abs(value - b[at]!), 0) / a.length;
}

describe("the evaluation crop", () => {
  const { cases } = JSON.parse(readFileSync(golden, "utf8")) as { cases: Case[] };
  it.each(cases)("equals Pillow's at $height x $width to $size, $filter", (expected) => {
    const { height, width, size, filter } = expected;
    const crop = evaluationCrop(formulaPicture(height, width), size, filter);
    expect(crop).toMatchObject({ frames: 1, height: size, width: size });
    expect(crop.bytes).toEqual(new Uint8Array(Buffer.from(expected.bytes, "base64")));
  });

  it("treats each frame of a clip as it treats a picture", () => {
    const [first, second] = [drawPicture([1], 40), drawPicture([2], 40)];
    const both = evaluationCrop(joinFrames([first, second]), 24);
    const apart = joinFrames([evaluationCrop(first, 24), evaluationCrop(second, 24)]);
    expect(both).toEqual(apart);
  });
});

const square = (side: number) => ({ height: side, width: side });
const side = fc.integer({ min: 1, max: 600 });
const share = fc.double({ min: 0.05, max: 1, noNaN: true });

describe("crop geometry", () => {
  it("makes the short side exact and never cuts outside the resized picture", () => {
    fc.assert(
      fc.property(side, side, side, (height, width, size) => {
        const resized = shortSideSize({ height, width }, size);
        expect(Math.min(resized.height, resized.width)).toBe(size);
        const box = centreBox(resized, { height: size, width: size });
        expect(Math.min(box.top, box.left)).toBeGreaterThanOrEqual(0);
        expect(box.top + size).toBeLessThanOrEqual(resized.height);
        expect(box.left + size).toBeLessThanOrEqual(resized.width);
      }),
    );
  });

  it("keeps random boxes inside the picture, whatever the ranges", () => {
    fc.assert(
      fc.property(side, side, share, fc.integer(), (height, width, low, seed) => {
        const ranges = { ...defaultRanges, scale: [low, 1] as const };
        const box = randomBox({ height, width }, randomStream(seed), ranges);
        expect(Math.min(box.top, box.left)).toBeGreaterThanOrEqual(0);
        expect(Math.min(box.height, box.width)).toBeGreaterThanOrEqual(1);
        expect(box.top + box.height).toBeLessThanOrEqual(height);
        expect(box.left + box.width).toBeLessThanOrEqual(width);
      }),
    );
  });

  it("gives the centre square for ranges of one", () => {
    const ranges = { scale: [1, 1], ratio: [1, 1], flip: 0 } as const;
    const box = randomBox({ height: 30, width: 50 }, randomStream(0), ranges);
    expect(box).toEqual({ top: 0, left: 10, height: 30, width: 30 });
  });
});

/** Bytes of rows of `width` pixels, left and right exchanged. */
const mirrored = (bytes: Uint8Array, width: number) =>
  bytes.map((_, i) => {
    const [pixel, colour] = [Math.floor(i / 3), i % 3];
    const x = pixel % width;
    return bytes[(pixel - x + (width - 1 - x)) * 3 + colour]!;
  });

describe("the training crop", () => {
  const picture = drawPicture([0, 0, 7], 160);
  const ranges = { ...defaultRanges, flip: 0 };

  it.each([32, 64, 100, 200])("is within 0.02/255 of Pillow's arithmetic at size %i", (size) => {
    const crop = trainingCrop(picture, square(size), randomStream(5), ranges);
    const from = randomBox(picture, randomStream(5), ranges);
    const expected = resample(picture, { height: size, width: size }, { from });
    expect(meanDifference(crop.bytes, expected.bytes)).toBeLessThanOrEqual(0.02);
  });

  it("mirrors the same crop where the coin says so", () => {
    const plain = trainingCrop(picture, square(48), randomStream(9), { ...ranges, flip: 0 });
    const flipped = trainingCrop(picture, square(48), randomStream(9), {
      ...ranges,
      flip: 1,
    });
    expect(mirrored(flipped.bytes, 48)).toEqual(plain.bytes);
    expect(flipped).not.toEqual(plain);
  });

  it("has the aspect it is asked for, undistorted", async () => {
    const size = { height: 24, width: 48 };
    const still = { scale: [1, 1], ratio: [1, 1], flip: 0 } as const;
    const crop = trainingCrop(picture, size, randomStream(5), still);
    const from = { top: 40, left: 0, height: 80, width: 160 }; // of 160 x 160: the largest box of 2 : 1
    expect(meanDifference(crop.bytes, resample(picture, size, { from }).bytes)).toBeLessThanOrEqual(
      1,
    );
  });

  it("cuts all frames of a clip alike", async () => {
    const crop = trainingCrop(joinFrames([picture, picture]), square(48), randomStream(3));
    const half = crop.bytes.length / 2;
    expect(crop.frames).toBe(2);
    expect(crop.bytes.subarray(0, half)).toEqual(crop.bytes.subarray(half));
  });
});
