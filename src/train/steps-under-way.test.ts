// Steps that run ahead, on the CPU, where the code is the GPU's without its graph. Reference: what is plainly computed, exactly.
import { describe, expect, test } from "vitest";
import { keep, liveTensors, randn, scope, Tensor } from "../torch/index.js";
import { NonFiniteError, type StepResult, type TrainBatch } from "./recipe.js";
import { RecordedStep } from "./recorded-step.js";
import { StepsUnderWay } from "./steps-under-way.js";

const batch = (name: string) => ({ files: [name] }) as unknown as TrainBatch;
const resultOf = (loss: number): StepResult => ({ loss, terms: {}, gradNorm: 1, lr: 1 });

describe("steps under way", () => {
  const told = (outcomes: Iterable<{ step: number; batch: TrainBatch; result: unknown }>) =>
    [...outcomes].map(({ step, batch: { files }, result }) => [
      step,
      files[0],
      result instanceof NonFiniteError ? result.message : (result as StepResult).loss,
    ]);

  test("of a recipe that does not run ahead are told at once", () => {
    const steps = new StepsUnderWay({ step: (_, step) => resultOf(step * 10) });
    expect(told(steps.push(batch("a"), 3))).toEqual([[3, "a", 30]]);
    expect(told(steps.drain())).toEqual([]);
  });

  test("of one that runs ahead are told when the next was started, with their own batch", () => {
    const started: number[] = [];
    const start = (_: TrainBatch, step: number) => {
      started.push(step);
      return () => resultOf(step * 10 + started.length);
    };
    const steps = new StepsUnderWay({ start, step: () => resultOf(-1) });
    expect(told(steps.push(batch("a"), 0))).toEqual([]);
    expect(told(steps.push(batch("b"), 1))).toEqual([[0, "a", 2]]);
    expect(told(steps.drain())).toEqual([[1, "b", 12]]);
    expect(told(steps.drain())).toEqual([]);
  });

  test("keep their order where a batch cannot run ahead", () => {
    const start = (_: TrainBatch, step: number) => (step === 1 ? undefined : () => resultOf(step));
    const steps = new StepsUnderWay({ start, step: (_, step) => resultOf(step + 100) });
    const all = [0, 1, 2].flatMap((step) => told(steps.push(batch("x"), step)));
    expect([...all, ...told(steps.drain())].map(([step, , loss]) => [step, loss])).toEqual([
      [0, 0],
      [1, 101],
      [2, 2],
    ]);
  });

  test("tell a loss that is no number, and throw what else went wrong", () => {
    const fail = (error: Error) => () => {
      throw error;
    };
    const steps = new StepsUnderWay({
      start: (_, step) => fail(step === 0 ? new NonFiniteError("NaN") : new Error("lost")),
      step: () => resultOf(0),
    });
    told(steps.push(batch("a"), 0));
    expect(told(steps.push(batch("b"), 1))).toEqual([[0, "a", "NaN"]]);
    expect(() => told(steps.drain())).toThrow("lost");
  });
});

describe("a step that is recorded", () => {
  const sums = (device = "cpu") => {
    const weight = keep(Tensor.from([1, 2, 3]));
    const step = new RecordedStep<{ x: Tensor }>({
      device,
      work: ({ x }) => {
        weight.add_(x);
        return { sum: weight.sum(), each: weight.mul(2) };
      },
    });
    return { weight, step };
  };

  test("gives each run's numbers, however late they are read, and frees what it made", () => {
    const before = liveTensors();
    const { weight, step } = sums();
    const reads = [1, 10, 100].map((value) =>
      step.start(() => ({ x: Tensor.from([value, 0, 0]) })),
    );
    expect(reads.map(({ read }) => read())).toEqual([
      { sum: [7], each: [4, 4, 6] },
      { sum: [17], each: [24, 4, 6] },
      { sum: [117], each: [224, 4, 6] },
    ]);
    step.dispose();
    weight.dispose();
    expect(liveTensors()).toBe(before);
  });

  test("takes raw bytes beside tensors, and refuses inputs of another shape", () => {
    const step = new RecordedStep({
      device: "cpu",
      work: ({ bytes, x }) => ({ y: bytes!.to({ dtype: "float32" }).add(x!) }),
    });
    const inputs = (count: number) => () => ({
      bytes: { bytes: new Uint8Array(count).fill(7), shape: [count], dtype: "uint8" as const },
      x: Tensor.from(new Float32Array(count).fill(0.5)),
    });
    expect(step.start(inputs(2)).read()).toEqual({ y: [7.5, 7.5] });
    expect(() => step.start(inputs(3))).toThrow(/Expected inputs as the first ones/);
    step.dispose();
  });

  test("is a training step: the weights move as without it", () => {
    const x = scope(() => keep(randn([4, 3])));
    const learn = (weight: Tensor, input: Tensor) => {
      weight.grad = null;
      const loss = input.matmul(weight).square().mean();
      loss.backward();
      scope(() => void weight.detach().sub_(weight.grad!.mul(0.1)));
      return { loss };
    };
    const [recorded, plain] = [1, 2].map(() => keep(Tensor.from([1, 2, 3])).requiresGrad_());
    const step = new RecordedStep<{ x: Tensor }>({
      device: "cpu",
      work: (inputs) => learn(recorded!, inputs.x),
    });
    for (let i = 0; i < 5; i++) {
      const { read } = step.start(() => ({ x: x.clone() }));
      const { loss } = scope(() => ({ loss: learn(plain!, x).loss.item() }));
      expect(read()).toEqual({ loss: [loss] });
    }
    expect(recorded!.toArray()).toEqual(plain!.toArray());
    step.dispose();
    for (const tensor of [x, recorded!, plain!]) tensor.dispose();
  });
});
