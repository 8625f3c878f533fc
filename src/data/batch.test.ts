// Bytes and pixels: the definition x / 127.5 - 1 in float32 (tolerance 0) and a round trip of all 256 bytes.
import { expect, it } from "vitest";
import { liveTensors, scope, Tensor } from "../torch/index.js";
import { bytesOf, clipsOf, pixelsOf } from "./batch.js";

const shape = [2, 2, 4, 8, 3] as const; // [B, T, H, W, 3]
const bytes = Uint8Array.from({ length: 2 * 2 * 4 * 8 * 3 }, (_, at) => (at * 7) % 256);

it("puts colours before frames and maps 0..255 to -1..1", () => {
  scope(() => {
    const pixels = pixelsOf({ bytes, shape });
    expect(pixels.shape).toEqual([2, 3, 2, 4, 8]);
    const values = pixels.toArray() as Float32Array;
    const [b, c, t, y, x] = [1, 2, 1, 3, 5];
    const byte = bytes[(((b * 2 + t) * 4 + y) * 8 + x) * 3 + c]!;
    const expected = Math.fround(Math.fround(byte / 127.5) - 1);
    expect(values[(((b * 3 + c) * 2 + t) * 4 + y) * 8 + x]).toBe(expected);
    expect(Math.min(...values)).toBe(-1);
    expect(Math.max(...values)).toBe(1);
  });
});

it("comes back to the same bytes", () => {
  scope(() => {
    const pixels = pixelsOf({ bytes, shape });
    expect(bytesOf(pixels)).toEqual(bytes);
    const clips = clipsOf(pixels);
    expect(clips[1]).toMatchObject({ frames: 2, height: 4, width: 8 });
    expect(clips[1]!.bytes).toEqual(bytes.subarray(bytes.length / 2));
  });
});

it("clamps, then rounds or truncates", () => {
  scope(() => {
    const values = [-3, -1, 0, 0.001, 0.9999, 5]; // 127.5 for 0: a half, rounded to even
    const pixels = Tensor.from(values, [1, 3, 1, 1, 2]);
    expect([...bytesOf(pixels)]).toEqual([0, 128, 255, 0, 128, 255]);
    expect([...bytesOf(pixels, "truncated")]).toEqual([0, 127, 254, 0, 127, 255]);
  });
});

it("frees every temporary", () => {
  const before = liveTensors();
  const pixels = pixelsOf({ bytes, shape }, { dtype: "bfloat16" });
  bytesOf(pixels);
  expect(liveTensors()).toBe(before + 1);
  expect(pixels.dtype).toBe("bfloat16");
  pixels.dispose();
});
