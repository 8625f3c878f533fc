// Schedules and samplers against independent implementations (scripts/make-generator-fixtures.py): DDIM over DiT's respaced
// steps by guided diffusion's formulas; DDIM over even steps, DPM-Solver++ and Euler's flow by diffusers 0.33.1. Float64
// trajectories there, float32 here: within 1e-5; the schedule within 1e-12. diffusers keeps DPM-Solver++'s noise levels in
// float32, so there it is 1e-5 of the largest element.
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { formula } from "../../test/formula.js";
import { readSafetensors } from "../nn/safetensors.js";
import { cat, liveTensors, type Tensor } from "../torch/index.js";
import type { Prediction } from "./config.js";
import { guide, requireGuidance } from "./guidance.js";
import { indices } from "./latent-generator.js";
import { runSampler, type SamplerName } from "./sampler.js";
import {
  alphasCumprod,
  type Level,
  levelAt,
  respacedTimesteps,
  samplingLevels,
} from "./schedule.js";

const known = readSafetensors(
  fileURLToPath(new URL("../../test/fixtures/generator/sampling.safetensors", import.meta.url)),
) as Record<string, Tensor>;
const listed = (name: string) => [...known[name]!.toArray()].map(Number);
const start = formula([1, 5, 4], 103, 1.5);

/** The fixture's prediction. */
const standIn = (x: Tensor, { timestep }: Level) =>
  x.mul(timestep / 1000).add(
    x
      .mul(2)
      .sin()
      .mul(0.4 - timestep / 2500),
  );

const trajectory = (prediction: Prediction, sampler: SamplerName, levels: readonly Level[]) =>
  runSampler(standIn, start, { prediction, sampler, levels }).to({ dtype: "float64" });

describe("the schedule", () => {
  test("is DDPM's linear one of 1000 steps", () => {
    const expected = listed("alphas_cumprod");
    const worst = expected.reduce(
      (most, value, i) => Math.max(most, Math.abs(value - alphasCumprod[i]!)),
      0,
    );
    expect(worst).toBeLessThan(1e-12);
  });

  test.each([250, 10])("is respaced to %i steps as DiT's", (count) => {
    const expected = listed(count === 250 ? "respaced" : `respaced.${count}`);
    expect(respacedTimesteps(count)).toEqual(expected);
  });

  test("has no timestep beyond its ends", () => {
    expect(() => levelAt("noise", 1000)).toThrow(/from 0 to 999 for the timestep, received 1000/);
    expect(() => samplingLevels("noise", 1001)).toThrow(/from 1 to 1000 for the sampler's steps/);
    expect(respacedTimesteps(1)).toEqual([0]);
  });
});

describe("sampling gives the reference's latent", () => {
  test.each([250, 10])("by DDIM over %i of DiT's steps", (count) => {
    const latent = trajectory("noise", "ddim", samplingLevels("noise", count));
    expectClose(latent, known[`ddim.${count}`]!, { atol: 1e-5 });
  });

  test.each(["noise", "velocity"] as const)("by DDIM over even steps (%s)", (prediction) => {
    const levels = listed(`ddim.${prediction}.timesteps`).map((t) => levelAt(prediction, t));
    const latent = trajectory(prediction, "ddim", levels);
    expectClose(latent, known[`ddim.${prediction}`]!, { atol: 1e-5 });
  });

  test.each(["noise", "velocity"] as const)("by DPM-Solver++ (%s)", (prediction) => {
    const levels = listed(`dpm.${prediction}.timesteps`).map((t) => levelAt(prediction, t));
    const latent = trajectory(prediction, "dpm++", levels);
    const expected = known[`dpm.${prediction}`]!;
    expectClose(latent, expected, { atol: 1e-5 * expected.abs().amax().item() });
  });

  test("by Euler's steps along the flow", () => {
    const levels = samplingLevels("flow", 8);
    expect(levels.map(({ timestep }) => timestep)).toEqual(listed("flow.timesteps"));
    expectClose(trajectory("flow", "ddim", levels), known.flow!, { atol: 1e-5 });
  });
});

test("DPM-Solver++ and DDIM meet on the flow's line as the steps become many", () => {
  const [few, many] = [64, 1000].map((steps) =>
    trajectory("flow", "dpm++", samplingLevels("flow", steps)),
  ) as [Tensor, Tensor];
  const euler = trajectory("flow", "ddim", samplingLevels("flow", 1000));
  const error = (x: Tensor) => x.sub(many).abs().amax().item();
  expect(error(few)).toBeLessThan(0.02);
  expect(error(euler)).toBeLessThan(0.02);
});

test("a sampler leaves its result behind and nothing else", () => {
  const before = liveTensors();
  trajectory("noise", "dpm++", samplingLevels("noise", 5)).dispose();
  expect(liveTensors() - before).toBeLessThanOrEqual(1); // the float32 result, which the collector frees
});

describe("guidance", () => {
  const [conditional, unconditional] = [formula([2, 6, 4], 104), formula([2, 6, 4], 105)];
  const [labels, nulls] = [indices([0, 1], "cpu"), indices([2, 2], "cpu")];
  const calls: number[] = [];
  const predict = (x: Tensor) => {
    calls.push(x.size(0));
    return x.size(0) === 4 ? cat([conditional, unconditional]) : conditional;
  };
  const at = (timestep: number) => levelAt("noise", timestep);
  const guided = (options: Parameters<typeof guide>[1], timestep = 500) =>
    guide(predict, options, nulls)(conditional, at(timestep), labels);

  test("moves every channel away from the prediction without a class", () => {
    expectClose(guided({ scale: 4 }), known.guided!, { atol: 1e-5 });
  });

  test("is scaled back to the spread of the unguided prediction", () => {
    expectClose(guided({ scale: 4, rescale: 0.7 }), known.rescaled!, { atol: 1e-5 });
  });

  test("acts within its interval only, and costs nothing outside", () => {
    const interval = [0.2, 0.6] as const;
    expectClose(guided({ scale: 4, interval }, 500), known.guided!, { atol: 1e-5 });
    calls.length = 0;
    expectClose(guided({ scale: 4, interval }, 700), conditional);
    expectClose(guided({ scale: 4, interval }, 100), conditional);
    expectClose(guided({ scale: 1 }), conditional);
    expect(calls).toEqual([2, 2, 2]);
  });

  test.each([
    [{ scale: -1 }, /at least 0 for guidance, received -1/],
    [{ scale: 2, interval: [0.6, 0.2] as const }, /the guidance interval, received \[0.6,0.2\]/],
    [{ scale: 2, rescale: 1.5 }, /from 0 to 1 for the guidance rescale, received 1.5/],
  ])("refuses %j", (options, message) => {
    expect(() => requireGuidance(options)).toThrow(message);
  });
});
