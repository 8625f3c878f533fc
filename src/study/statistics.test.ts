// Fits, correlation, intervals and frontiers against numbers that numpy 2 and scipy computed (polyfit, linregress, t.ppf), to 1e-9;
// Student's expansion beyond its table to 1e-3.
import { describe, expect, test } from "vitest";
import {
  correlation,
  fitLine,
  fitParabola,
  frontier,
  meanWithInterval,
  student95,
} from "./statistics.js";

const x = [2, 4, 7, 9, 12, 13.5];
const y = [1.2, 3.1, 2.9, 5.5, 4.1, 0.3];

describe("a line", () => {
  test("is numpy's", () => {
    const line = fitLine(x, y)!;
    expect(line.slope).toBeCloseTo(0.024698544698544704, 9);
    expect(line.offset).toBeCloseTo(2.654469854469854, 9);
    expect(line.r2).toBeCloseTo(0.003419798496721575, 9);
    expect(line.count).toBe(6);
  });

  test("needs two different places", () => {
    expect(fitLine([3, 3], [1, 2])).toBeUndefined();
    expect(fitLine([], [])).toBeUndefined();
  });
});

describe("a parabola", () => {
  test("is numpy's", () => {
    const { a, b, c, r2, vertex } = fitParabola(x, y)!;
    expect(a).toBeCloseTo(-0.1053363126090132, 9);
    expect(b).toBeCloseTo(1.6666967455732453, 6);
    expect(c).toBeCloseTo(-1.9836128165203488, 9);
    expect(r2).toBeCloseTo(0.6446788095752946, 9);
    expect(vertex).toBeCloseTo(7.911311455490234, 9);
  });

  test("needs three different places", () => {
    expect(fitParabola([1, 2, 2], [1, 2, 3])).toBeUndefined();
  });
});

test("correlation is scipy's, and none where nothing varies", () => {
  expect(correlation(x, y)).toBeCloseTo(0.058479043226796854, 9);
  expect(correlation([1, 2], [3, 3])).toBeUndefined();
});

test("intervals are Student's, and one value has none", () => {
  const { mean, interval } = meanWithInterval([26.1, 26.4, 25.8, 26.2]);
  expect(mean).toBeCloseTo(26.125, 9);
  expect(interval).toBeCloseTo(0.3978057881604619, 4);
  expect(meanWithInterval([7])).toEqual({ mean: 7, interval: Number.NaN });
  const scipy = { 1: 12.706204736, 3: 3.182446305, 11: 2.200985160091639, 30: 2.0422724563012378 };
  for (const [freedom, quantile] of Object.entries(scipy))
    expect(Math.abs(student95(Number(freedom)) - quantile)).toBeLessThan(1e-3);
});

test("the frontier holds what no other point is better than in both", () => {
  expect(frontier([1, 2, 3, 2, 0], [5, 4, 1, 3, 5])).toEqual([2, 1, 0]);
});
