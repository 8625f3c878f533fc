// The clip type's own arithmetic; no reference but its definition.
import { expect, it } from "vitest";
import { createClip, frameOf, joinFrames } from "./clip.js";

const bytes = Uint8Array.from({ length: 2 * 2 * 3 * 3 }, (_, at) => at);
const clip = createClip(bytes, { frames: 2, height: 2, width: 3 });

it("takes frames out and joins them again", () => {
  const frames = [frameOf(clip, 0), frameOf(clip, 1)];
  expect(frames[1]).toMatchObject({ frames: 1, height: 2, width: 3 });
  expect(frames[1]!.bytes[0]).toBe(18);
  expect(joinFrames(frames)).toEqual(clip);
});

it("refuses bytes that do not fill the shape", () => {
  expect(() => createClip(bytes, { height: 2, width: 3 })).toThrow("Expected 18 bytes");
  expect(() => createClip(new Uint8Array(0), { height: 0, width: 3 })).toThrow(
    "at least one pixel",
  );
});

it("refuses frames that are not there and clips of other sizes", () => {
  expect(() => frameOf(clip, 2)).toThrow("Expected 0..1 for frame, received 2");
  const wide = createClip(bytes, { height: 1, width: 12 });
  expect(() => joinFrames([clip, wide])).toThrow("Expected clips of 2 x 3, received one of 1 x 12");
});
