// Checks the losses against their definitions, worked out in JavaScript (1e-6), and the sum against
// its own rules.
import { describe, expect, test } from "vitest";
import { autocast, liveTensors, Tensor } from "../torch/index.js";
import { l1, mse, smoothL1 } from "./pixel.js";
import { weightedSum } from "./weighted-sum.js";

const a = [0.5, -0.25, 1, 0.01];
const b = [0.25, -0.25, -1, 0];
const differences = a.map((value, i) => value - b[i]!);
const mean = (values: number[]) => values.reduce((sum, value) => sum + value) / values.length;
const tensors = () => [Tensor.from(a, [2, 2]), Tensor.from(b, [2, 2])] as const;

describe("a pixel loss", () => {
  test("is the mean over elements of the square, the absolute value, or both", () => {
    const huber = (d: number) => (Math.abs(d) < 0.05 ? d ** 2 / 0.1 : Math.abs(d) - 0.025);
    expect(mse(...tensors()).item()).toBeCloseTo(mean(differences.map((d) => d ** 2)), 6);
    expect(l1(...tensors()).item()).toBeCloseTo(mean(differences.map(Math.abs)), 6);
    expect(smoothL1(...tensors()).item()).toBeCloseTo(mean(differences.map(huber)), 6);
  });

  test("is float32 for bfloat16 inputs and under autocast", () => {
    const [x, y] = tensors();
    const half = x.to({ dtype: "bfloat16" });
    for (const loss of [mse, l1, smoothL1]) {
      expect(loss(half, y).dtype).toBe("float32");
      expect(autocast({ device: "cpu", dtype: "bfloat16" }, () => loss(x, y)).dtype).toBe(
        "float32",
      );
    }
  });

  test("takes bytes for the pixels they stand for", () => {
    const recon = Tensor.from([0.5, -0.25, 1], [1, 3, 1, 1, 1]);
    const bytes = Tensor.from(Uint8Array.of(0, 200, 255), [1, 3, 1, 1, 1]);
    const pixels = Tensor.from([-1, 200 / 127.5 - 1, 1], [1, 3, 1, 1, 1]);
    for (const loss of [mse, l1, smoothL1])
      expect(loss(recon, bytes).item()).toBeCloseTo(loss(recon, pixels).item(), 6);
  });

  test("refuses shapes that would broadcast", () => {
    const [x] = tensors();
    expect(() => mse(x, Tensor.from([1, 2]))).toThrow(/shape \[2\].*received \[2,2\]/);
  });
});

describe("weightedSum", () => {
  test("adds weight times term, and its gradient is the weight", () => {
    const term = Tensor.from(2).requiresGrad_();
    const { loss, logged } = weightedSum({ mse: term, kl: Tensor.from(10) }, { mse: 3, kl: 0.5 });
    expect(loss.item()).toBe(11);
    loss.backward();
    expect(term.grad!.item()).toBe(3);
    expect(Object.entries(logged).map(([name, x]) => [name, x.item()])).toEqual([
      ["mse", 2],
      ["kl", 10],
      ["loss", 11],
    ]);
    expect(logged.mse!.requiresGrad).toBe(false);
  });

  test("logs a term of weight 0 without adding it, even where it is not finite", () => {
    const terms = { mse: Tensor.from(1), kl: Tensor.from(Number.NaN) };
    const { loss, logged } = weightedSum(terms, { mse: 1, kl: 0, lpips: 0 });
    expect(loss.item()).toBe(1);
    expect(logged.kl!.item()).toBeNaN();
  });

  test("refuses a term without a weight, a weight without a term, and nothing to add", () => {
    const terms = { mse: Tensor.from(1) };
    expect(() => weightedSum(terms, { l1: 1 })).toThrow(/weight for the loss term "mse"/);
    expect(() => weightedSum(terms, { mse: 1, lpips: 1 })).toThrow(/loss term "lpips"/);
    expect(() => weightedSum(terms, { mse: 0 })).toThrow(/received none/);
    expect(() => weightedSum({ mse: Tensor.from([1, 2]) }, { mse: 1 })).toThrow(/one number/);
  });

  test("leaves no tensor behind but its results", () => {
    const terms = { mse: Tensor.from(1), kl: Tensor.from(2) };
    const before = liveTensors();
    const { loss, logged } = weightedSum(terms, { mse: 1, kl: 1 });
    for (const tensor of [loss, ...Object.values(logged)]) tensor.dispose();
    expect(liveTensors()).toBe(before);
  });
});
