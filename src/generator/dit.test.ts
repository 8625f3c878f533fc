// The network against a PyTorch re-implementation with the same weights (scripts/make-generator-fixtures.py): float32 on
// the CPU, outputs within 1e-5, gradients within 1e-4 of each one's largest element. Parameter counts against the paper's.
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { formula } from "../../test/formula.js";
import { Checkpointing } from "../nn/checkpointing.js";
import { disposeModel, loadStateDict, parameters } from "../nn/parameters.js";
import { readSafetensors } from "../nn/safetensors.js";
import { liveTensors, scope, type Tensor } from "../torch/index.js";
import { defineGenerator, generatorCost } from "./config.js";
import { addNoise, timestepOf } from "./diffusion.js";
import { Dit } from "./dit.js";
import { initializeDit } from "./init.js";
import { indices } from "./latent-generator.js";

const known = readSafetensors(
  fileURLToPath(new URL("../../test/fixtures/generator/network.safetensors", import.meta.url)),
) as Record<string, Tensor>;

const config = defineGenerator({ width: 24, depth: 2, heads: 2, channels: 4, classes: 3 });
const grid = { t: 1, h: 2, w: 3 };
const [x, noise] = [formula([2, 6, 4], 101), formula([2, 6, 4], 102)];
const timesteps = [17, 930];

/** A network with the fixture's weights. */
function loaded(): Dit {
  const dit = new Dit(config);
  const weights = [...parameters(dit)].map(([name, { shape }], k) => [
    name,
    formula(shape, k, 0.3),
  ]);
  loadStateDict(dit, Object.fromEntries(weights));
  return dit;
}

describe("the network", () => {
  test.each([false, true])("gives PyTorch's prediction and gradients (checkpointed: %s)", (is) => {
    const dit = loaded();
    const checkpointing = is ? new Checkpointing() : undefined;
    const steps = addNoise("noise", x, { noise, timesteps }).timesteps;
    const y = dit.forward(x, steps, indices([1, 3], "cpu"), { grid, checkpointing });
    expectClose(y, known.y!, { atol: 1e-5, name: "prediction" });
    const loss = y.sub(noise).square().mean();
    expect(Math.abs(loss.item() - known.loss!.item())).toBeLessThan(1e-5);
    if (checkpointing) checkpointing.backward(loss);
    else loss.backward();
    for (const [name, tensor] of parameters(dit)) {
      const expected = known[`grad.${name}`]!;
      const atol = 1e-4 * Math.max(expected.abs().amax().item(), 1e-6);
      expectClose(tensor.grad!, expected, { atol, name });
    }
  });

  test("starts as a network that predicts 0, from its seed alone", () => {
    const [one, same, other] = [3, 3, 4].map((seed) => {
      const dit = new Dit(config);
      initializeDit(dit, seed);
      return dit;
    }) as [Dit, Dit, Dit];
    const y = one.forward(x, formula([2], 1), indices([0, 2], "cpu"), { grid });
    expect(y.abs().amax().item()).toBe(0);
    expectClose(same.labelEmbed, one.labelEmbed);
    expect(other.labelEmbed.sub(one.labelEmbed).abs().amax().item()).toBeGreaterThan(0.01);
    const spread = one.timeEmbed.fc1.weight.variance().sqrt().item();
    expect(spread).toBeCloseTo(0.02, 3);
    const bound = Math.sqrt(6 / (24 + 72));
    const largest = one.blocks[1]!.attn.qkv.weight.abs().amax().item();
    expect(largest).toBeGreaterThan(0.95 * bound);
    expect(largest).toBeLessThanOrEqual(bound);
  });

  test("leaves no tensor behind", () => {
    const before = liveTensors();
    scope(() => {
      const dit = loaded();
      dit
        .forward(x, formula([2], 1), indices([0, 2], "cpu"), { grid })
        .mean()
        .backward();
      dit.clearCache();
      disposeModel(dit);
    });
    expect(liveTensors()).toBe(before);
  });
});

describe("parameters", () => {
  test.each([
    ["DiT-L", 458e6],
    ["DiT-XL", 675e6],
  ])("of %s are the expected %i, to the million", (variant, expected) => {
    const cost = generatorCost(defineGenerator({ variant, channels: 16, classes: 1000 }), 256);
    expect(Math.round(cost.params.total / 1e6)).toBe(expected / 1e6);
  });

  test("are as many as the cost says", () => {
    const dit = new Dit(config);
    const count = [...parameters(dit)].reduce((sum, [, tensor]) => sum + tensor.numel, 0);
    expect(generatorCost(config, 6).params.total).toBe(count);
  });
});

describe("noise is added", () => {
  test.each(["noise", "velocity", "flow"] as const)("as %s prediction has it", (prediction) => {
    const { noised, target } = addNoise(prediction, x, { noise, timesteps });
    expectClose(noised, known[`${prediction}.noised`]!, { atol: 1e-6, name: "noised" });
    expectClose(target, known[`${prediction}.target`]!, { atol: 1e-6, name: "target" });
  });

  test("at whole timesteps, or at any for flow", () => {
    expect(["noise", "velocity", "flow"].map((p) => timestepOf(p as "flow", 0.99951))).toEqual([
      999, 999, 999.51,
    ]);
  });
});
