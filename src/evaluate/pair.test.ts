// PSNR of large pictures, computed on bytes, against its definition and against that of small ones (1e-9); means over frames.
import { expect, it } from "vitest";
import { drawPicture } from "../data/drawn.js";
import { type Clip, createClip, joinFrames } from "../media/clip.js";
import { scorePair, ssimLimitOf } from "./pair.js";

const shifted = (clip: Clip, by: number): Clip => ({
  ...clip,
  bytes: clip.bytes.map((value) => (value < 128 ? value + by : value - by)),
});

it("is the mean over a clip's frames", () => {
  const frames = [1, 2].map((seed) => drawPicture([seed], 32));
  const recons = [shifted(frames[0]!, 3), shifted(frames[1]!, 9)];
  const [first, second] = frames.map((frame, i) => scorePair(frame, recons[i]!));
  const both = scorePair(joinFrames(frames), joinFrames(recons));
  expect(both.PSNR).toBeCloseTo((first!.PSNR + second!.PSNR) / 2, 9);
  expect(both.SSIM).toBeCloseTo((first!.SSIM! + second!.SSIM!) / 2, 9);
  expect(first!.PSNR).toBeCloseTo(20 * Math.log10(255 / 3), 4);
});

it("has no SSIM above the limit of a budget, and the same PSNR there", () => {
  const side = Math.ceil(Math.sqrt(ssimLimitOf(2 ** 26))) + 1;
  const large = createClip(new Uint8Array(side * side * 3).fill(100), {
    height: side,
    width: side,
  });
  expect(scorePair(large, shifted(large, 5), ssimLimitOf(2 ** 26))).toEqual({
    PSNR: expect.closeTo(20 * Math.log10(51), 9),
  });
  expect(scorePair(large, large, ssimLimitOf(2 ** 26))).toEqual({ PSNR: 100 });
  expect(scorePair(large, shifted(large, 5)).SSIM).toBeGreaterThan(0.9);
});
