// Multiply-adds and parameters against the paper's table 1 (and the position table it adds):
// GFLOPs to the digit that the paper prints, parameters to 0.1 M.

import { describe, expect, it } from "vitest";
import { parseVariant, type sizes } from "./config.js";
import { costOf, usualSize } from "./cost.js";

const square = (side: number, frames = 1) => ({ frames, height: side, width: side });
const giga = (value: number) => (value / 1e9).toFixed(1);

describe("costOf", () => {
  it.each([
    ["S", "11.6"],
    ["B", "23.1"],
    ["L", "101.8"],
  ])("gives one tower %s %s G at 256 tokens", (size, expected) => {
    const config = parseVariant(`${size as keyof typeof sizes}-S/16`);
    expect(giga(costOf(config, square(256)).macs.encoder)).toBe(expected);
  });

  it.each([
    ["S-B/16", 256, 1, "34.8"],
    ["S-L/16", 256, 1, "113.4"],
    ["S-B/16", 512, 1, "160.8"],
    ["S-B/4x8", 128, 16, "160.8"],
  ])("gives %s at %i pixels and %i frames its multiply-adds", (variant, side, frames, expected) => {
    expect(giga(costOf(parseVariant(variant), square(side, frames)).macs.total)).toBe(expected);
  });

  it.each([
    ["S-B/16", "128.8"],
    ["S-L/16", "426.7"],
  ])("counts %s's parameters", (variant, millions) => {
    const { params } = costOf(parseVariant(variant), square(256));
    expect((params.total / 1e6).toFixed(1)).toBe(millions);
    expect(params.total).toBe(params.encoder + params.decoder);
  });

  it("measures the code by its tokens, of the patches or of Latent ViTok", () => {
    const simple = costOf(parseVariant("S-B/16"), square(256));
    expect(simple).toMatchObject({ tokens: 256, latentSize: 4096, compressionRatio: 48 });
    const latent = costOf(parseVariant("S-B/16", { latentTokens: 64 }), square(256));
    expect(latent).toMatchObject({ tokens: 256, latentSize: 1024, compressionRatio: 192 });
    expect(latent.macs.total).toBeGreaterThan(simple.macs.total);
  });

  it("refuses a size that does not divide into patches", () => {
    expect(() => costOf(parseVariant("S-B/16"), square(250))).toThrow(/multiples of 16/);
  });

  it("quotes images at 256 pixels and video at 16 frames of them, in whole tubelets", () => {
    expect(usualSize(parseVariant("S-B/16"))).toEqual(square(256));
    expect(usualSize(parseVariant("S-B/4x8"))).toEqual(square(256, 16));
    expect(usualSize(parseVariant("S-B/3x14"))).toEqual(square(252, 15));
  });
});
