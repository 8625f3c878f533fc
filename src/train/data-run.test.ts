// What a run does with its data. Over batches of many shapes it is scored at a size it never saw, and after a stop in the middle
// goes on to the same weights, bit for bit (float32, CPU, one thread; reference: the run never stopped). What it cannot read
// is in its log.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { packShards } from "../data/shards/pack.js";
import { openSource } from "../data/source.js";
import { parseTrainConfig } from "./config.js";
import { readRun } from "./log.js";
import { train } from "./trainer.js";

const root = mkdtempSync(join(tmpdir(), "vitok-data-run-"));
afterAll(() => rmSync(root, { recursive: true }));

const recipe = {
  model: { variant: "Tiw48d1h3-Tiw48d1h3/8" },
  data: {
    path: "drawn:train?count=12&size=48",
    size: 24,
    buckets: { sizes: [16, 24, 32], aspects: [1 / 2, 1, 2] },
  },
  losses: { lpips: 0 },
  train: {
    ...({ steps: 8, batchSize: 6, accumulate: 2, precision: "float32", threads: 1 } as const),
    ...{ logEvery: 1, gridEvery: 0, evalEvery: 0 },
  },
  evaluate: { size: 40, count: 3 },
  device: "cpu",
};

const weights = (out: string) => readFileSync(join(out, "model", "model.safetensors"));

describe("a run over many shapes", () => {
  it("ends alike whether it was stopped or not, and is scored at a size never trained on", async () => {
    const config = parseTrainConfig(recipe);
    const [whole, cut] = [join(root, "whole"), join(root, "cut")];
    const { scores } = await train(config, { out: whole, command: "test" });
    expect(scores!.metrics.PSNR).toBeGreaterThan(0);
    expect(scores!.protocol).toMatchObject({ size: 40 });
    expect(readRun(whole)!.steps).toHaveLength(8);

    const stop = new AbortController();
    const onStep = (step: number) => {
      if (step === 5) stop.abort();
    };
    const stopped = await train(config, { out: cut, command: "test", signal: stop.signal, onStep });
    expect(stopped).toMatchObject({ state: "interrupted", step: 5 });
    await train(config, { out: cut, command: "test", resume: true });
    expect(weights(cut).equals(weights(whole))).toBe(true);
  });

  it("goes on with a discriminator that looks at squares which fit every shape", async () => {
    const from = join(root, "whole");
    const stage2 = { ...recipe.train, steps: 3, stage: 2 as const, from };
    const config = parseTrainConfig({
      ...recipe,
      model: {},
      train: stage2,
      evaluate: { count: 1 },
    });
    expect(await train(config, { out: join(root, "gan"), command: "test" })).toMatchObject({
      state: "done",
      step: 3,
    });
    const losses = { ...recipe.losses, cropSize: 24 };
    expect(() => parseTrainConfig({ ...recipe, losses })).toThrow("at most 8, the shortest side");
  });

  it("is refused before it begins where a shape fits no batch or no micro-batch", () => {
    const data = { ...recipe.data, buckets: { sizes: [256] } };
    expect(() => parseTrainConfig({ ...recipe, data })).toThrow(
      "data.buckets: Expected a budget for 2 samples of 256 x 256",
    );
    const odd = { ...recipe.data, buckets: { sizes: [16], multipleOf: 3 } };
    expect(() => parseTrainConfig({ ...recipe, data: odd })).toThrow(
      "a multiple of train.accumulate (2)",
    );
  });
});

it("tells a damaged sample of a shard in the log, and trains on", async () => {
  const shards = join(root, "shards");
  await packShards(await openSource("drawn:train?count=12&size=24"), {
    out: shards,
    shardSize: 12,
  });
  const file = join(shards, "drawn-train-000000.tar");
  const bytes = readFileSync(file);
  writeFileSync(file, bytes.fill(0xff, 512, 600)); // the first picture's beginning
  const { buckets: _, ...data } = { ...recipe.data, path: shards };
  const config = parseTrainConfig({ ...recipe, data, train: { ...recipe.train, steps: 3 } });
  const out = join(root, "damaged");
  const { state, unreadable } = await train(config, { out, command: "test" });
  expect(state).toBe("done");
  expect(unreadable).toHaveLength(1);
  const events = readRun(out)!.events.filter(({ kind }) => kind === "unreadable");
  expect(events.map(({ text }) => text)).toEqual([unreadable[0]!.reason]);
  expect(unreadable[0]!.reason).toMatch(/^drawn-train-000000.tar.*: cannot be read as a picture/);
});
