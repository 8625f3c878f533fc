// Verdicts: the paper's own points give the R^2 that its figures print, to the two digits printed, and its findings hold by the tests
// that ours are put to; then each test by small made-up points.
import { describe, expect, test } from "vitest";
import { tableRows } from "./conclude.js";
import { judge } from "./findings.js";
import { type Finding, loadStudy, studyNames } from "./manifest.js";
import { samplesOf, transformed } from "./metric-facts.js";
import { paperPoints } from "./paper.js";
import type { Point } from "./results.js";
import { fitLine } from "./statistics.js";

const findings = studyNames().flatMap((name) => {
  const { findings, paper } = loadStudy(name);
  const points = paper.points ? paperPoints(paper.points).points : [];
  return findings.map((finding) => ({ name, claim: finding.claim, finding, points }));
});

describe("the paper's points", () => {
  test("give the R² printed in figure 3", () => {
    const { finding, points } = findings.find(({ name }) => name === "fig3")!;
    const { facts } = judge(finding, points, []);
    const printed = { rFID: 0.94, rIS: 0.91, SSIM: 0.98, PSNR: 0.92 };
    expect(
      Object.fromEntries(
        facts.map(({ metric, r2 }) => [metric, Number((r2 as number).toFixed(2))]),
      ),
    ).toEqual(printed);
  });

  test("give the R² printed in figure 12, for both sets", () => {
    const { points } = paperPoints("fig12");
    const r2Of = (metric: string, set: string) => {
      const samples = samplesOf(points, metric, { set });
      const x = samples.map(({ latentSize }) => Math.log2(latentSize!));
      return fitLine(
        x,
        samples.map(({ value }) => transformed(metric, value)),
      )!.r2.toFixed(2);
    };
    expect(["rFID", "SSIM", "PSNR"].map((metric) => r2Of(metric, "i1k"))).toEqual([
      "0.99",
      "1.00",
      "0.99",
    ]);
    expect(r2Of("rFID", "coco")).toBe("0.99");
  });

  test.each(findings)("do not contradict their claim: $name, $claim", ({ finding, points }) => {
    const { verdict, numbers } = judge(finding, points, []);
    expect(verdict, numbers).not.toBe("does not hold");
  });
});

const make = (
  values: Point["values"],
  latentSize: number,
  metrics: Point["metrics"],
  more = {},
): Point => ({
  ...{ kind: "reconstruction", values, latentSize, metrics },
  ...more,
});
const verdictOf = (finding: object, points: readonly Point[]) =>
  judge({ claim: "", ...finding } as Finding, points, []).verdict;

describe("a line in log E", () => {
  const finding = { test: "log-linear", metrics: ["PSNR"], r2: 0.8, improves: true };
  const along = (f: (i: number) => number) =>
    [0, 1, 2, 3].map((i) => make({ c: i }, 2 ** i, { PSNR: f(i) }));

  test("holds, does not hold, and is undecided", () => {
    expect(
      verdictOf(
        finding,
        along((i) => 20 + i),
      ),
    ).toBe("holds");
    expect(
      verdictOf(
        finding,
        along((i) => 20 - i),
      ),
    ).toBe("does not hold");
    expect(
      verdictOf(
        finding,
        along((i) => (i % 2 ? 20 : 24)),
      ),
    ).toBe("does not hold");
    expect(verdictOf(finding, along((i) => 20 + i).slice(1))).toBe("undecided");
    expect(
      verdictOf(
        { ...finding, improves: false },
        along((i) => 20 - i),
      ),
    ).toBe("holds");
  });

  test("takes seeds of the same values as one point", () => {
    const repeated = along((i) => 20 + i).flatMap((point) => [
      { ...point, seed: 0 },
      { ...point, seed: 1, metrics: { PSNR: point.metrics.PSNR! + 0.1 } },
    ]);
    const { facts } = judge({ claim: "", ...finding } as Finding, repeated, []);
    expect(facts).toMatchObject([{ count: 4, r2: 1 }]);
  });
});

test("an optimum is found where the most floats are not the best", () => {
  const finding = { test: "optimum", metrics: ["gFID"], by: "p" };
  const scores = (list: number[]) =>
    list.map((gFID, i) =>
      make({ p: 8, c: i }, 2 ** i, { "gFID-768": gFID }, { kind: "generation" }),
    );
  expect(verdictOf(finding, scores([9, 4, 8]))).toBe("holds");
  expect(verdictOf(finding, scores([9, 4, 2]))).toBe("does not hold");
  expect(verdictOf(finding, scores([9, 4]))).toBe("undecided");
});

test("a size that helps is told from one that does not", () => {
  const points = [1, 2, 4, 8].map((size, i) =>
    make(
      { i },
      64,
      { PSNR: 20 + i, SSIM: [0.7, 0.6, 0.6, 0.7][i]! },
      { params: { encoder: size * 1e6, total: 1 } },
    ),
  );
  const about = (metric: string, helps: boolean) =>
    verdictOf({ test: "correlation", with: "encoder", metrics: [metric], helps }, points);
  expect([about("PSNR", true), about("PSNR", false)]).toEqual(["holds", "does not hold"]);
  expect([about("SSIM", true), about("SSIM", false)]).toEqual(["does not hold", "holds"]);
});

test("a trade-off needs two winners", () => {
  const finding = { test: "trade-off", metrics: ["rFID", "PSNR"] };
  const points = (psnrs: number[]) =>
    psnrs.map((PSNR, i) => make({ loss: `l${i}` }, 64, { rFID: 2 ** i, PSNR }));
  expect(verdictOf(finding, points([20, 21, 23, 24]))).toBe("holds");
  expect(verdictOf(finding, points([24, 23, 21, 20]))).toBe("does not hold");
});

test("a table has one row for the reconstruction and the samples of a cell, in the order of its columns", () => {
  const points = [
    make({ p: 8 }, 64, { PSNR: 26.123456, "rFID-768": 0.5 }),
    make({ p: 8 }, 64, { "gFID-768": 1.5 }, { kind: "generation" }),
    make({ p: 16 }, 32, { PSNR: 22 }),
    make({ p: 32 }, 16, {}),
  ];
  expect(tableRows(["p", "E", "rFID", "PSNR", "gFID"], points)).toEqual([
    { p: "8", E: "64", "rFID-768": "0.5000", PSNR: "26.12", "gFID-768": "1.500" },
    { p: "16", E: "32", PSNR: "22.00" },
  ]);
});

test("a kind is better only where it wins every meeting, and one meeting decides nothing", () => {
  const finding = {
    test: "better",
    metrics: ["rFID"],
    cells: { kind: "a" },
    than: { kind: "b" },
    margin: 0.02,
  };
  const pair = (latentSize: number, a: number, b: number) => [
    make({ kind: "a", E: latentSize }, latentSize, { rFID: a }),
    make({ kind: "b", E: latentSize }, latentSize, { rFID: b }),
  ];
  expect(verdictOf(finding, [...pair(64, 1, 2), ...pair(128, 1, 3)])).toBe("holds");
  expect(verdictOf(finding, [...pair(64, 2, 1), ...pair(128, 3, 1)])).toBe("does not hold");
  expect(verdictOf(finding, [...pair(64, 1, 2), ...pair(128, 1, 1)])).toBe("undecided");
  expect(verdictOf(finding, pair(64, 1, 2))).toBe("undecided");
});
