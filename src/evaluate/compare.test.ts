// What compares and what is refused, field by field: spec section 5, "every score carries its protocol".

import { describe, expect, test } from "vitest";
import { compareScores } from "./compare.js";

const protocol = {
  name: "standard",
  set: "val",
  setHash: "aa",
  count: 500,
  rounding: "nearest uint8",
  weights: "raw",
  weightsHash: "11",
  lpips: "vgg 22 33",
  fid: null,
  device: "cpu",
};
const a = { metrics: { PSNR: 25, LPIPS: 0.2 }, protocol };

describe("comparing scores", () => {
  test("subtracts them, and notes models and machines that differ", () => {
    const b = {
      metrics: { PSNR: 26.5, LPIPS: 0.25, rFID: 3 },
      protocol: { ...protocol, weights: "ema", weightsHash: "44", device: "cuda:0", fid: "x" },
    };
    const { scores, notes } = compareScores(a, b);
    expect(scores).toEqual([
      { name: "PSNR", a: 25, b: 26.5, difference: 1.5 },
      { name: "LPIPS", a: 0.2, b: 0.25, difference: expect.closeTo(0.05, 12) },
      { name: "rFID", a: null, b: 3, difference: null },
    ]);
    expect(Object.keys(notes)).toEqual(["weights", "weightsHash", "fid", "device"]);
  });

  test.each([
    ["name", "vitok-paper"],
    ["setHash", "bb"],
    ["count", 499],
    ["rounding", "truncated to uint8"],
    ["lpips", "squeeze 22 33"],
    ["a field of a later version", "x"],
  ])("refuses an unlike %s with both values", (field, value) => {
    const b = { ...a, protocol: { ...protocol, [field]: value } };
    const was = JSON.stringify((protocol as Record<string, unknown>)[field] ?? null);
    expect(() => compareScores(a, b)).toThrow(`  ${field}: ${was} and ${JSON.stringify(value)}`);
  });

  test("lets the method of a score differ that only one side has", () => {
    const b = { metrics: { PSNR: 25 }, protocol: { ...protocol, lpips: null } };
    expect(compareScores(a, b).scores[1]).toEqual({
      ...{ name: "LPIPS", a: 0.2, b: null, difference: null },
    });
  });

  test("refuses files without a score in common", () => {
    expect(() => compareScores(a, { metrics: { rFID: 1 }, protocol })).toThrow(
      "received PSNR, LPIPS and rFID",
    );
  });
});
