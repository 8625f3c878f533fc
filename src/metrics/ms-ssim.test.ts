// Checks MS-SSIM against torchmetrics 1.9 (scripts/make-metric-fixtures.py), 1e-7 absolute, and its edges.
import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { formula } from "../../test/formula.js";
import { liveTensors, scope, type Tensor, zeros } from "../torch/index.js";
import { msSsim } from "./ms-ssim.js";

const fixture = new URL("../../test/fixtures/metrics.json", import.meta.url);
const expected = JSON.parse(readFileSync(fixture, "utf8")).msSsim;

/** Whole numbers 0..255, [2, 3, 180, 196]; the second has the first in it, as a reconstruction has. */
function pictures(): [Tensor, Tensor] {
  const [real, other] = [7, 8].map((k) => formula([2, 3, 180, 196], k, 90).add(127.5).round());
  const mixed = real!
    .to({ dtype: "float64" })
    .mul(0.7)
    .add(other!.to({ dtype: "float64" }).mul(0.3));
  return [real!, mixed];
}

test("MS-SSIM is torchmetrics' over mirrored windows, and over the valid ones only", () => {
  for (const border of ["reflect", "valid"] as const) {
    const metric = msSsim({ border });
    scope(() => metric.update(...pictures()));
    for (const [i, value] of metric.values.entries())
      expect(Math.abs(value - expected[border][i])).toBeLessThan(1e-7);
  }
});

test("a picture and itself score 1, a picture and its negative 0", () => {
  scope(() => {
    const [real] = pictures();
    const metric = msSsim();
    metric.update(real, real);
    metric.update(real, real.neg().add(255));
    expect(metric.values).toEqual([1, 1, 0, 0]);
  });
});

test("pictures too small for five scales are refused, the smallest that is not is scored", () => {
  const before = liveTensors();
  scope(() => {
    const metric = msSsim();
    metric.update(zeros([1, 3, 176, 176]), zeros([1, 3, 176, 176]));
    expect(metric.compute()).toEqual({ "MS-SSIM": 1 });
    const small = zeros([1, 3, 175, 300]);
    expect(() => metric.update(small, small)).toThrow(/at least 176 x 176.*received 175 x 300/);
  });
  expect(liveTensors()).toBe(before);
});
