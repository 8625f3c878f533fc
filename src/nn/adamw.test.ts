// Ten steps of AdamW with clipping under warm-up and cosine, against torch.optim and torch.nn.utils in PyTorch 2.13
// (scripts/make-nn-fixtures.py): absolute tolerance 1e-6 in float32, 1e-12 for the learning rates.
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { keep, liveTensors, ones, scope, Tensor, zeros } from "../torch/index.js";
import { AdamW } from "./adamw.js";
import { clipGradNorm } from "./clip.js";
import { readSafetensors } from "./safetensors.js";
import { cosineSchedule } from "./schedule.js";

const known = readSafetensors(
  fileURLToPath(new URL("../../test/fixtures/nn/optimizer.safetensors", import.meta.url)),
);
const schedule = { peakLr: 0.01, steps: 10, warmupSteps: 3 };
const start = () => ({
  matrix: known["matrix.start"]!.clone().requiresGrad_(),
  vector: known["vector.start"]!.clone().requiresGrad_(),
});
type Weights = ReturnType<typeof start>;

/** One step of the fixture; the gradients' norm before clipping comes back. */
function step(weights: Weights, optimizer: AdamW, index: number): number {
  return scope(() => {
    for (const name of ["matrix", "vector"] as const)
      weights[name].grad = known[`${name}.grad${index}`]!.clone();
    const norm = clipGradNorm(Object.values(weights), 1).item();
    optimizer.step(cosineSchedule(schedule, index));
    return norm;
  });
}

describe("AdamW", () => {
  test("follows PyTorch's for ten steps, decaying matrices only", () => {
    const weights = start();
    const optimizer = new AdamW(Object.entries(weights), { weightDecay: 0.1 });
    for (let index = 0; index < 10; index++) {
      const norm = step(weights, optimizer, index);
      expect(norm).toBeCloseTo(Number(known.norms!.toArray()[index]), 6);
      for (const name of ["matrix", "vector"] as const)
        expectClose(weights[name], known[`${name}.step${index}`]!, { atol: 1e-6, name });
    }
    optimizer.dispose();
  });

  test("goes on from a saved state as if it had not stopped, exactly", () => {
    const straight = start();
    const optimizer = new AdamW(Object.entries(straight));
    for (let index = 0; index < 5; index++) step(straight, optimizer, index);
    const resumed = keep({
      matrix: straight.matrix.detach().clone().requiresGrad_(),
      vector: straight.vector.detach().clone().requiresGrad_(),
    });
    const later = new AdamW(Object.entries(resumed));
    later.loadStateDict(optimizer.stateDict());
    for (let index = 5; index < 10; index++) {
      step(straight, optimizer, index);
      step(resumed, later, index);
    }
    expect(resumed.matrix.toArray()).toEqual(straight.matrix.toArray());
    expect(resumed.vector.toArray()).toEqual(straight.vector.toArray());
  });

  test("refuses the state of another model, naming what is missing", () => {
    const optimizer = new AdamW(Object.entries(start()));
    expect(() => optimizer.loadStateDict({})).toThrow(/Expected exp_avg\.matrix.*found none/);
  });

  test("passes over what is frozen or has no gradient", () => {
    const [frozen, idle, live] = [
      ones([2, 2]),
      ones([2]).requiresGrad_(),
      ones([2]).requiresGrad_(),
    ];
    const optimizer = new AdamW([
      ["frozen", frozen],
      ["idle", idle],
      ["live", live],
    ]);
    expect(Object.keys(optimizer.stateDict())).not.toContain("exp_avg.frozen");
    live.grad = ones([2]);
    optimizer.step(0.5);
    expect([...idle.toArray()]).toEqual([1, 1]);
    expect([...live.toArray()]).toEqual([0.5, 0.5]);
    optimizer.zeroGrad();
    expect(live.grad).toBeNull();
  });

  test("leaves no tensor behind in a step, nor after its end", () => {
    const weights = start();
    const before = liveTensors();
    const optimizer = new AdamW(Object.entries(weights));
    step(weights, optimizer, 0);
    const live = liveTensors();
    for (let index = 1; index < 5; index++) step(weights, optimizer, index);
    expect(liveTensors()).toBe(live);
    optimizer.dispose();
    expect(liveTensors()).toBe(before);
  });
});

describe("clipGradNorm", () => {
  const withGradient = (...values: number[]) => {
    const parameter = zeros([values.length]).requiresGrad_();
    parameter.grad = Tensor.from(values);
    return parameter;
  };

  test("scales all gradients together, and gives the norm before", () => {
    const [a, b] = [withGradient(3), withGradient(0, 4)];
    expect(clipGradNorm([a, b], 1).item()).toBe(5);
    expectClose(a.grad!, Tensor.from([0.6]), { atol: 1e-6 });
    expectClose(b.grad!, Tensor.from([0, 0.8]), { atol: 1e-6 });
  });

  test("leaves small gradients exactly as they are", () => {
    const parameter = withGradient(0.3, 0.4);
    clipGradNorm([parameter], 1);
    expect(parameter.grad!.toArray()).toEqual(Float32Array.from([0.3, 0.4]));
  });

  test("shows a NaN in its result, and refuses to clip nothing", () => {
    expect(clipGradNorm([withGradient(Number.NaN)], 1).item()).toBeNaN();
    expect(() => clipGradNorm([zeros([1])], 1)).toThrow(/found none.*backward/);
  });
});

describe("cosineSchedule", () => {
  test("is PyTorch's LinearLR, then CosineAnnealingLR", () => {
    const rates = Array.from({ length: 10 }, (_, index) => cosineSchedule(schedule, index));
    expectClose(Tensor.from(Float64Array.from(rates)), known.rates!, { atol: 1e-12 });
  });

  test("peaks after the warm-up, ends at 0 and stays there", () => {
    expect(cosineSchedule(schedule, 2)).toBe(0.01);
    expect(cosineSchedule(schedule, 3)).toBe(0.01);
    expect(cosineSchedule(schedule, 10)).toBe(0);
    expect(cosineSchedule(schedule, 99)).toBe(0);
    expect(cosineSchedule({ ...schedule, warmupSteps: 0 }, 0)).toBe(0.01);
    expect(cosineSchedule({ peakLr: 1, steps: 3, warmupSteps: 3 }, 2)).toBe(1);
  });
});
