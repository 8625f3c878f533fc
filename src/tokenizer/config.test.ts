// The variant grammar against its own inverse (property-based, exact), and the limits of a config.

import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../config-error.js";
import { mlpHidden, ropePairs } from "../tower.js";
import {
  defineConfig,
  fromJson,
  gridOf,
  parseVariant,
  sizes,
  toJson,
  variantName,
} from "./config.js";

const count = (max: number) => fc.integer({ min: 1, max });
const tower = fc
  .record({ heads: count(24), pairs: fc.integer({ min: 2, max: 64 }), depth: count(48) })
  .map(({ heads, pairs, depth }) => ({ width: heads * pairs * 2, depth, heads }));
const config = fc
  .record({
    encoder: fc.oneof(tower, fc.constantFrom(...Object.values(sizes))),
    decoder: fc.oneof(tower, fc.constantFrom(...Object.values(sizes))),
    patchSize: count(64),
    tubeletSize: count(16),
    channels: count(128),
    latentTokens: fc.integer({ min: 0, max: 1024 }),
    maskable: fc.boolean(),
  })
  .map(defineConfig);

describe("variant names", () => {
  it("come back as the same config, whatever the towers", () => {
    fc.assert(
      fc.property(config, (c) => {
        expect(parseVariant(variantName(c), c)).toEqual(c);
      }),
    );
  });

  it.each(["S-B/16", "S-B/4x8", "S-B/1x16x64", "Sd4-L/1x16x64", "Ti-Ti/8", "Sw512d8h8-L/4x16"])(
    "keep the canonical form of %s",
    (name) => expect(variantName(parseVariant(name))).toBe(name),
  );

  it("leave out the tubelet and the channels where they are 1 and 16", () => {
    expect(variantName(parseVariant("S-B/1x16x16"))).toBe("S-B/16");
    expect(variantName(parseVariant("Sd4-Ld24/1x16x64"))).toBe("Sd4-L/1x16x64");
  });

  it("read the numbers as p, q x p, and q x p x c", () => {
    expect(parseVariant("S-B/8")).toMatchObject({ tubeletSize: 1, patchSize: 8, channels: 16 });
    expect(parseVariant("S-B/4x8")).toMatchObject({ tubeletSize: 4, patchSize: 8, channels: 16 });
    expect(parseVariant("S-B/2x32x4")).toMatchObject({
      tubeletSize: 2,
      patchSize: 32,
      channels: 4,
    });
    expect(parseVariant("Sw384d4h6-Sw384d6h6/16").decoder).toEqual({
      width: 384,
      depth: 6,
      heads: 6,
    });
  });

  it.each(["", "S-B", "S/16", "S-B/", "S-B/0", "S-B/016", "S-B/1x2x3x4", "s-b/16", "S-Bx/16"])(
    "are refused with the grammar when they read %j",
    (name) => expect(() => parseVariant(name)).toThrow(/Expected <encoder>-<decoder>.*received/),
  );
});

describe("a config", () => {
  it("is frozen through and through", () => {
    const c = parseVariant("S-B/16");
    expect(Object.isFrozen(c) && Object.isFrozen(c.encoder) && Object.isFrozen(c.decoder)).toBe(
      true,
    );
  });

  it("makes the round trip through its file, ignoring keys of others", () => {
    fc.assert(
      fc.property(config, (c) => {
        expect(fromJson({ ...toJson(c), keep: 3 })).toEqual(c);
      }),
    );
  });

  it("may be written as a variant and what differs", () => {
    expect(fromJson({ variant: "S-B/16", latent_tokens: 64 })).toEqual(
      parseVariant("S-B/16", { latentTokens: 64 }),
    );
    expect(() => fromJson({ patch_size: 8 })).toThrow(/Expected a variant, or an encoder/);
    const generator = { kind: "generator", variant: "DiT-S" };
    expect(() => fromJson(generator)).toThrow(/that of a generator, DiT-S\. Its tokenizer/);
  });

  it.each(["Sh5-B/16", "Sw100h100-B/16", "Sw36h12-B/16"])(
    "is refused when a head is odd or below 4 wide, as in %s",
    (name) => expect(() => parseVariant(name)).toThrow(/even width of at least 4 per head/),
  );

  it.each([0, -1, 1.5, Number.NaN, "8"])("is refused with a patch size of %s", (patchSize) => {
    const wrong = { ...parseVariant("S-B/16"), patchSize: patchSize as number };
    expect(() => defineConfig(wrong)).toThrow(ConfigError);
  });

  it("rounds the SwiGLU's width to a multiple of 16", () => {
    expect([48, 192, 768, 1152].map(mlpHidden)).toEqual([128, 512, 2048, 3072]);
  });

  it("shares the rotary pairs over time, row and column as the paper's heads need", () => {
    expect(ropePairs(64)).toEqual({ time: 10, row: 11, column: 11 });
    expect(ropePairs(72)).toEqual({ time: 12, row: 12, column: 12 });
  });

  it("takes inputs in whole tubelets only, and video only with a time pair", () => {
    const video = parseVariant("Tiw24d1h3-Ti/4x8");
    expect(gridOf(video, { frames: 4, height: 32, width: 16 })).toEqual({ t: 1, h: 4, w: 2 });
    expect(() => gridOf(video, { frames: 8, height: 32, width: 16 })).toThrow(/pair for time/);
    expect(() => gridOf(video, { frames: 3, height: 32, width: 16 })).toThrow(/multiples of 4/);
  });
});
