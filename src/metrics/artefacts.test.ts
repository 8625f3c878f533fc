// The grid score against a plain discrete Fourier transform (1e-9 relative), the sums against hand-made pictures (exact).

import { describe, expect, test } from "vitest";
import { liveTensors, scope, Tensor } from "../torch/index.js";
import { ArtefactCounter, gridScore } from "./artefacts.js";

const side = 12;
const period = 4;

/** 0..255, a wave of the patch period, one of another period, and some of each at once. */
const picture = Float64Array.from({ length: side * side }, (_, i) => {
  const [y, x] = [Math.floor(i / side), i % side];
  return (
    128 + 3 * ((x * 7 + y * 3) % period) + 2 * Math.sin((2 * Math.PI * x) / side) + ((x * y) % 5)
  );
});

/** |X|^2 of one frequency pair. */
function power(u: number, v: number): number {
  let [real, imaginary] = [0, 0];
  picture.forEach((value, i) => {
    const angle = (-2 * Math.PI * (u * Math.floor(i / side) + v * (i % side))) / side;
    real += value * Math.cos(angle);
    imaginary += value * Math.sin(angle);
  });
  return real ** 2 + imaginary ** 2;
}

describe("the grid score", () => {
  test("is the spectrum's energy at multiples of the patch frequency", () => {
    let [grid, all] = [0, 0];
    for (let u = 0; u < side; u++)
      for (let v = 0; v < side; v++) {
        if (u === 0 && v === 0) continue;
        const energy = power(u, v) / side ** 4;
        all += energy;
        if (u % (side / period) === 0 && v % (side / period) === 0) grid += energy;
      }
    const score = scope(() => {
      const flat = Tensor.from(picture, [1, 1, side, side]);
      return gridScore(flat.expand([2, 3, side, side]), period);
    });
    expect(score.amplitude).toBeCloseTo(Math.sqrt(grid), 9);
    expect(score.share).toBeCloseTo(grid / all, 9);
  });

  test("is 0 where nothing repeats at the period, and refuses sizes that are no multiple", () => {
    scope(() => {
      const wave = Tensor.from(
        Float32Array.from({ length: side * side }, (_, i) => Math.sin((2 * Math.PI * i) / side)),
        [1, 1, side, side],
      );
      expect(gridScore(wave, period).amplitude).toBeLessThan(1e-6);
      expect(() => gridScore(wave, 5)).toThrow(/multiples of 5 pixels/);
    });
  });
});

describe("the counter", () => {
  test("tells drift by colour, saturated and non-finite values", () => {
    const before = liveTensors();
    const counter = new ArtefactCounter();
    scope(() => {
      const bytes = (...values: number[]) => Tensor.from(Uint8Array.from(values), [1, 3, 1, 1, 2]);
      const pixels = Tensor.from(
        [0, Number.NaN, 0, Number.POSITIVE_INFINITY, 0, 0],
        [1, 3, 1, 1, 2],
      );
      counter.update(bytes(0, 10, 20, 30, 40, 255), bytes(2, 14, 20, 30, 0, 255), pixels);
    });
    const { drift, saturated, nonFinite } = counter.compute();
    expect(drift).toEqual([3, 0, -20]);
    expect(saturated).toEqual({ original: 2 / 6, recon: 2 / 6 });
    expect(nonFinite).toBe(2 / 6);
    expect(liveTensors()).toBe(before);
  });
});
