// A step of stage 2 against its loss written out in one graph (gradients of both sides within 2e-6, float32 on the CPU), what is
// frozen, the average of weights against its formula (1e-6), micro-batches against one batch (2e-6), and the ablations.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { type Batch, pixelsOf } from "../data/batch.js";
import { Loader } from "../data/loader.js";
import { openSource } from "../data/source.js";
import { adversarialLoss, discriminatorLoss, r1Penalty } from "../losses/adversarial.js";
import { mse } from "../losses/pixel.js";
import { emaDecay } from "../nn/ema.js";
import { parameters, stateDict } from "../nn/parameters.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { keep, liveTensors, rand, scope, type Tensor } from "../torch/index.js";
import { parseTrainConfig } from "./config.js";
import { createRecipe } from "./create-recipe.js";
import { adversarialWeight, discriminatorLr } from "./gan-config.js";
import { randomSquares } from "./keyed-noise.js";
import { Stage2 } from "./stage2.js";
import { drawPass, passThrough, sizeOf } from "./tokenizer-pass.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-stage2-"));
const variant = "Tiw24d1h2-Tiw24d2h2/8";
let batch: Batch;

beforeAll(async () => {
  const tokenizer = Tokenizer.create(variant, { seed: 5 });
  tokenizer.save(scratch);
  tokenizer.dispose();
  const source = await openSource("drawn:train?count=8&size=32");
  const loader = new Loader(source, { batchSize: 4, size: 32, augment: true, cacheMiB: 0 });
  batch = (await loader.next())!;
  loader.close();
});
afterAll(() => rmSync(scratch, { recursive: true, force: true }));

type Sets = { train?: object; gan?: object; losses?: object };

function configOf({ train, gan, losses }: Sets = {}) {
  return parseTrainConfig({
    data: { path: "drawn:train?count=8&size=32", size: 32 },
    losses: { lpips: 0, ...losses },
    ...(gan === null
      ? {}
      : { gan: { width: 1 / 64, waitSteps: 0, rampSteps: 1, peakLr: 1e-3, ...gan } }),
    train: {
      ...{ stage: 2, from: scratch, steps: 20, batchSize: 4, peakLr: 1e-3, warmupSteps: 0 },
      ...{ precision: "float32", maxGradNorm: 1e9, ...train },
    },
  });
}

const recipeOf = (sets: Sets = {}) => new Stage2(configOf(sets), "cpu");
const gradientsOf = (model: object) =>
  new Map([...parameters(model)].map(([name, tensor]) => [name, tensor.grad]));
const copyOf = (model: object) =>
  Object.fromEntries(Object.entries(stateDict(model)).map(([name, x]) => [name, keep(x.clone())]));

function expectAlike(actual: Map<string, Tensor | null>, expected: Map<string, Tensor | null>) {
  expect([...actual.keys()]).toEqual([...expected.keys()]);
  for (const [name, gradient] of actual) {
    expect(gradient === null, name).toBe(expected.get(name) === null);
    if (gradient) expectClose(gradient, expected.get(name)!, { atol: 2e-6, name });
  }
}

describe("a step of stage 2", () => {
  test("has the gradients of mse + 0.05 GAN for the decoder, of the hinge and R1 for the discriminator", () => {
    const [stepped, plain] = [1, 2].map(() => recipeOf({ gan: { r1: 2, r1Every: 4 } }));
    const result = stepped!.step(batch, 0);
    scope(() => {
      const { tokenizer, gan } = plain!;
      const pixels = pixelsOf(batch);
      const pictures = pixels.squeeze(2).requiresGrad_();
      const draws = drawPass(configOf(), batch.indices, sizeOf(batch));
      const { recon } = passThrough(tokenizer, { pixels, draws, checkpointing: undefined });
      const fake = gan!.discriminator.forward(recon.squeeze(2));
      const loss = mse(recon, pixels).add(adversarialLoss(fake).mul(0.05));
      loss.backward();
      expect(result.loss).toBeCloseTo(loss.item(), 6);
      for (const [, weight] of parameters(gan!.discriminator)) weight.grad = null;
      const real = gan!.discriminator.forward(pictures);
      const apart = { real, fake: gan!.discriminator.forward(recon.detach().squeeze(2)) };
      discriminatorLoss(apart)
        .add(r1Penalty(real, pictures).mul(2 * 4))
        .backward();
      expect(result.gauges!.hinge).toBeCloseTo(discriminatorLoss(apart).item(), 6);
      expectAlike(gradientsOf(stepped!.tokenizer), gradientsOf(tokenizer));
      expectAlike(gradientsOf(stepped!.gan!.discriminator), gradientsOf(gan!.discriminator));
    });
    expect(result.terms.kl).toBeGreaterThan(0);
    stepped!.dispose();
    plain!.dispose();
  });

  test("moves the decoder with from_latent and nothing of the encoder with to_latent", () => {
    const recipe = recipeOf();
    const before = copyOf(recipe.tokenizer);
    recipe.step(batch, 0);
    recipe.step(batch, 1);
    for (const [name, tensor] of parameters(recipe.tokenizer)) {
      const isSame = String(tensor.toArray()) === String(before[name]!.toArray());
      expect(isSame, name).toBe(name.startsWith("encoder."));
    }
    expect(recipe.notes.at(-1)).toMatch(/are frozen \(encoder\.\*\)/);
    recipe.dispose();
  });

  test("averages the weights by the formula, from those of stage 1, and saves the average", async () => {
    const recipe = recipeOf();
    const name = "decoder.from_latent.weight";
    const weight = stateDict(recipe.tokenizer)[name]!;
    let expected = keep(weight.detach().clone());
    for (let step = 0; step < 4; step++) {
      recipe.step(batch, step);
      const decay = emaDecay(step);
      expected = scope(() => keep(expected.mul(decay).add(weight.detach().mul(1 - decay))));
    }
    expectClose(recipe.average.stateDict()[name]!, expected, { atol: 1e-6 });
    const folder = join(scratch, "saved");
    recipe.save(folder, { steps: 4 });
    const saved = await Tokenizer.load(folder);
    expectClose(stateDict(saved)[name]!, expected, { atol: 1e-6 });
    expect(JSON.parse(readFileSync(join(folder, "config.json"), "utf8")).weights).toBe("ema");
    saved.dispose();
    recipe.dispose();
  });

  test.each([{ accumulate: 2 }, { checkpointing: true }])("is the same with %j", (train) => {
    const [one, other] = [recipeOf(), recipeOf({ train })];
    const results = [one, other].map((recipe) => recipe.step(batch, 3));
    expect(results[1]!.loss).toBeCloseTo(results[0]!.loss, 6);
    expectAlike(gradientsOf(other.tokenizer), gradientsOf(one.tokenizer));
    expectAlike(gradientsOf(other.gan!.discriminator), gradientsOf(one.gan!.discriminator));
    for (const recipe of [one, other]) recipe.dispose();
  });

  test("judges a clip's frames as pictures of their own", () => {
    const [pictures, clips] = [1, 2].map(() => recipeOf());
    const { indices, shape } = batch;
    const clipped = { ...batch, indices: indices.slice(0, 2), shape: [2, 2, ...shape.slice(2)] };
    const { gauges } = clips!.step(clipped as unknown as Batch, 0);
    expect(gauges!.realLogit).toBeCloseTo(pictures!.step(batch, 0).gauges!.realLogit!, 6);
    for (const recipe of [pictures!, clips!]) recipe.dispose();
  });

  test("leaves no tensor behind, whichever way it is set", () => {
    const before = liveTensors();
    const all = { gan: { r1: 1, r1Every: 2, leCam: 0.1 }, losses: { cropSize: 16 } };
    const recipe = recipeOf(all);
    recipe.step(batch, 0);
    const after = liveTensors();
    for (let step = 1; step < 4; step++) recipe.step(batch, step);
    expect(liveTensors()).toBe(after);
    recipe.dispose();
    expect(liveTensors()).toBe(before);
  });
});

describe("the options of stage 2", () => {
  test("each change what a step computes", () => {
    const told = (sets: Sets) => {
      const recipe = recipeOf(sets);
      recipe.step(batch, 0);
      const { loss, gauges } = recipe.step(batch, 1);
      const size = recipe.gan?.discriminator.size;
      recipe.dispose();
      return { loss, logit: gauges?.realLogit, size };
    };
    const plain = told({});
    expect(told({ gan: { r1: 10, r1Every: 1 } }).logit).not.toBe(plain.logit);
    expect(told({ gan: { leCam: 10 } }).logit).not.toBe(plain.logit);
    expect(told({ gan: { width: 1 / 32 } }).logit).not.toBe(plain.logit);
    expect(told({ gan: { peakLr: 2e-3 } }).logit).not.toBe(plain.logit);
    expect(told({ losses: { cropSize: 16 } }).size).toBe(16);
    expect(told({ losses: { cropSize: 24 } }).size).toBe(16);
    expect(told({ losses: { adversarial: 1 } }).loss).not.toBe(plain.loss);
    expect(told({ gan: { waitSteps: 9 } }).loss).not.toBe(plain.loss);
  });

  test("full fine-tuning moves the encoder, and by KL too", () => {
    const recipe = recipeOf({ train: { freeze: [] }, losses: { kl: 1 } });
    const weight = stateDict(recipe.tokenizer)["encoder.to_latent.weight"]!;
    const before = String(weight.toArray());
    const { loss, terms } = recipe.step(batch, 0);
    expect(String(weight.toArray())).not.toBe(before);
    expect(loss).toBeCloseTo(terms.mse! + terms.kl! + 0.05 * terms.adversarial!, 5);
    expect(recipe.average.stateDict()).toHaveProperty(["encoder.to_latent.weight"]);
    recipe.dispose();
  });

  test("without a GAN there is no discriminator, and the average goes on", async () => {
    const config = parseTrainConfig({
      data: { path: "x", size: 32 },
      losses: { lpips: 0, adversarial: 0 },
      train: { stage: 2, from: scratch, batchSize: 4, precision: "float32" },
    });
    const recipe = (await createRecipe(config, "cpu")) as Stage2;
    const { terms, gauges } = recipe.step(batch, 0);
    expect([recipe.gan, gauges]).toEqual([undefined, undefined]);
    expect(Object.keys(terms).sort()).toEqual(["kl", "mse"]);
    expect(Object.keys(recipe.states)).toEqual(["optimizer", "ema"]);
    recipe.dispose();
  });

  test("the schedule is the paper's, scaled with the steps; video ramps twice as fast", () => {
    const paper = configOf({
      train: { steps: 100_000, batchSize: 256 },
      gan: { waitSteps: undefined, rampSteps: undefined, peakLr: undefined },
    }).gan!;
    expect(paper).toMatchObject({
      peakLr: 2e-5,
      warmupSteps: 25_000,
      waitSteps: 5000,
      rampSteps: 50_000,
    });
    expect(
      [0, 4999, 29_999, 54_999, 90_000].map((step) => adversarialWeight(paper, 0.05, step)),
    ).toEqual([0, 0, 0.025, 0.05, 0.05]);
    expect([0, 12_499, 24_999, 90_000].map((step) => discriminatorLr(paper, step) / 2e-5)).toEqual([
      1 / 25_000,
      0.5,
      1,
      1,
    ]);
    const video = parseTrainConfig({
      data: { path: "x", size: 32, frames: 16 },
      train: { stage: 2, from: scratch, steps: 1000 },
    });
    expect(video.gan).toMatchObject({ waitSteps: 25, rampSteps: 250, peakLr: 2e-5 });
    expect(video.train).toMatchObject({ batchSize: 256, freeze: ["encoder.*"] });
    expect(video.losses.adversarial).toBe(0.05);
  });
});

test("contradictions are refused", () => {
  const parse = (recipe: object) => () =>
    parseTrainConfig({ data: { path: "x", size: 32 }, model: { variant }, ...recipe } as never);
  expect(parse({ train: { stage: 2 } })).toThrow(/stage-1 run or model for train\.from/);
  expect(parse({ losses: { adversarial: 0.05 } })).toThrow(/Expected 0 in stage 1/);
  expect(parse({ gan: {} })).toThrow(/no such section without a discriminator/);
  expect(parse({ train: { keepBest: "lpips" } })).toThrow(/train\.keepBest, received "lpips"/);
});

test("random squares are cut alike from both sides, by seed and sample alone", () => {
  scope(() => {
    const x = rand([3, 3, 2, 12, 10]);
    const options = { seed: 1, indices: [7, 8, 9], of: "lossCrop" } as const;
    const [a, b] = randomSquares([x, x.mul(2)] as const, 8, options);
    expect(a.shape).toEqual([3, 3, 2, 8, 8]);
    expectClose(b, a.mul(2));
    const [last] = randomSquares([x.narrow(0, 2, 1)] as const, 8, { ...options, indices: [9] });
    expectClose(last, a.narrow(0, 2, 1));
    const [other] = randomSquares([x] as const, 8, { ...options, seed: 2 });
    expect(String(other.toArray())).not.toBe(String(a.toArray()));
    const square = x.narrow(3, 0, 10);
    expect(randomSquares([square] as const, 10, options)[0]).toBe(square);
    expect(() => randomSquares([x] as const, 11, options)).toThrow(/within 12 x 10.*received 11/);
  });
});
