// Walking a model for its parameters: names as PyTorch's, copies exact.

import { describe, expect, test } from "vitest";
import { arange, liveTensors, ones, Tensor, zeros } from "../torch/index.js";
import {
  disposeModel,
  freeze,
  loadStateDict,
  moveTo,
  parameter,
  parameters,
  snakeCase,
  stateDict,
} from "./parameters.js";

class Part {
  readonly weight = parameter([2]);
  readonly absent: Tensor | undefined = undefined;
}
const model = () => ({ patchEmbed: new Part(), blocks: [new Part(), new Part()], size: 3 });
const names = ["patch_embed.weight", "blocks.0.weight", "blocks.1.weight"];

describe("parameters", () => {
  test("are found in the order of properties, named as PyTorch would", () => {
    expect([...parameters(model())].map(([name]) => name)).toEqual(names);
    expect(Object.keys(stateDict(model()))).toEqual(names);
    expect(snakeCase("toLatent")).toBe("to_latent");
  });

  test("are leaves that learn, until a part is frozen", () => {
    const one = model();
    freeze(one.blocks);
    const learning = () => [...parameters(one)].map(([, tensor]) => tensor.requiresGrad);
    expect(learning()).toEqual([true, false, false]);
    freeze(one.blocks, false);
    expect(learning()).toEqual([true, true, true]);
  });

  test("are all freed with the model", () => {
    const before = liveTensors();
    const one = model();
    disposeModel(one);
    expect(liveTensors()).toBe(before);
  });
});

describe("loadStateDict", () => {
  const weights = () => Object.fromEntries(names.map((name) => [name, arange(2)]));

  test("copies values, converting their dtype, and keeps the tensors that are there", () => {
    const one = model();
    const own = one.blocks[0]!.weight;
    loadStateDict(one, { ...weights(), "blocks.0.weight": arange(2, { dtype: "int64" }) });
    expect(one.blocks[0]!.weight).toBe(own);
    expect(own.toArray()).toEqual(Float32Array.from([0, 1]));
    expect(own.requiresGrad).toBe(true);
  });

  test("lists all that does not fit, and changes nothing", () => {
    const one = model();
    const { "blocks.1.weight": _, ...rest } = weights();
    const wrong = { ...rest, "blocks.0.weight": ones([3]), "head.weight": ones([1]) };
    const load = () => loadStateDict(one, wrong);
    expect(load).toThrow(/missing: blocks\.1\.weight/);
    expect(load).toThrow(/unknown: head\.weight/);
    expect(load).toThrow(/other shape: blocks\.0\.weight: expected \[2\], received \[3\]/);
    expect([...one.patchEmbed.weight.toArray()]).toEqual([0, 0]);
  });
});

describe("moveTo", () => {
  test("changes the dtype in place and keeps what learns learning", () => {
    const one = model();
    freeze(one.blocks);
    const before = liveTensors();
    moveTo(one, { dtype: "bfloat16" });
    expect([...parameters(one)].map(([, tensor]) => [tensor.dtype, tensor.requiresGrad])).toEqual([
      ["bfloat16", true],
      ["bfloat16", false],
      ["bfloat16", false],
    ]);
    expect(liveTensors()).toBe(before);
  });

  test("leaves a model alone that is where it should be", () => {
    const one = { weight: keepsValue() };
    moveTo(one, { device: "cpu", dtype: "float32" });
    expect([...one.weight.toArray()]).toEqual([7]);
    expect(zeros([1]).add(one.weight).item()).toBe(7);
  });
});

const keepsValue = () => Tensor.from([7]).requiresGrad_();
