// Recipes: defaults against the paper's stage 1, errors against the exact words a user sees,
// and every file of configs/ against the schema.

import { mkdtempSync, readdirSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { ConfigError } from "../config-error.js";
import { editDistance, nearest } from "../nearest.js";
import { parseVariant } from "../tokenizer/config.js";
import { loadTrainConfig } from "./config.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-config-"));
const file = join(folder, "x.yaml");
const minimal = "model:\n  variant: S-B/16\ndata:\n  path: photos\n  size: 256\n";

function load(text: string, sets: string[] = []) {
  writeFileSync(file, text);
  return loadTrainConfig(file, sets);
}

function messageOf(text: string, sets: string[] = []): string {
  try {
    load(text, sets);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigError);
    return (error as Error).message.replaceAll(file, "x.yaml");
  }
  throw new Error("the config was accepted");
}

describe("a recipe", () => {
  it("defaults to the paper's stage 1", () => {
    const config = load(minimal);
    expect(config.model).toEqual(parseVariant("S-B/16"));
    expect(config.losses).toMatchObject({ mse: 1, l1: 0, kl: 1e-3, lpips: 1, lpipsTrunk: "vgg" });
    expect(config.train).toMatchObject({ steps: 100_000, batchSize: 1024, warmupSteps: 5000 });
    expect(config.train).toMatchObject({ peakLr: 4e-4, weightDecay: 1e-4, betas: [0.9, 0.95] });
    expect(config.evaluate).toMatchObject({ data: "photos", batchSize: 64 });
  });

  it("scales the learning rate with the batch unless it is told one", () => {
    expect(load(minimal, ["train.batchSize=256"]).train.peakLr).toBe(1e-4);
    expect(load(minimal, ["train.batchSize=256", "train.peakLr=1e-3"]).train.peakLr).toBe(1e-3);
  });

  it("takes a variant with a property changed, or towers written out", () => {
    expect(load(minimal, ["model.channels=64"]).model.channels).toBe(64);
    const tower = "{width: 48, depth: 2, heads: 3}";
    const written = `model: {encoder: ${tower}, decoder: ${tower}, patchSize: 8}\n`;
    const { model } = load(`${written}data: {path: x, size: 32}`);
    expect(model).toMatchObject({ patchSize: 8, channels: 16, decoder: { width: 48 } });
  });

  it("is frozen at every depth", () => {
    const config = load(minimal);
    expect(Object.isFrozen(config.train.betas) && Object.isFrozen(config.model)).toBe(true);
  });

  it("can be overridden even in a section that the file leaves out", () => {
    const sets = ["evaluate.metrics=[psnr]", "seed=7", "data.path=drawn:train?count=8&size=32"];
    const config = load(minimal, sets);
    expect(config.evaluate.metrics).toEqual(["psnr"]);
    expect(config.seed).toBe(7);
    expect(config.data.path).toBe("drawn:train?count=8&size=32");
  });
});

describe("a wrong recipe", () => {
  it("names an unknown key, its place and the nearest name", () => {
    expect(messageOf(`${minimal}train:\n  steps: 5\n  peakLR: 1e-3\n`)).toBe(
      'Unknown config key "train.peakLR" (x.yaml:8:3). Did you mean "train.peakLr"?',
    );
  });

  it("names an unknown key of an override", () => {
    expect(messageOf(minimal, ["train.peakLR=1e-4"])).toBe(
      'Unknown config key "train.peakLR". Did you mean "train.peakLr"?',
    );
    expect(messageOf(minimal, ["trian.steps=4"])).toContain('Did you mean "train"?');
  });

  it("lists the known keys when none is near", () => {
    expect(messageOf(`${minimal}losses: {charbonnier: 1}`)).toMatch(
      /Unknown config key "losses.charbonnier" \(x.yaml:6:10\). Known keys in losses: mse, l1, /,
    );
  });

  it("reports every wrong value with what was expected, received, and where", () => {
    const lines = messageOf(`${minimal}train:\n  steps: ten\n  batchSize: -4\n`).split("\n");
    expect(lines).toEqual([
      'Expected a number for train.steps, received "ten" (x.yaml:7:3).',
      "Expected a number of more than 0 for train.batchSize, received -4 (x.yaml:8:3).",
    ]);
  });

  it("refuses a batch that does not split, and a crop range that runs backwards", () => {
    expect(messageOf(minimal, ["train.accumulate=3"])).toContain("train.accumulate");
    expect(messageOf(minimal, ["data.cropScale=[1, 0.5]"])).toContain("data.cropScale");
  });

  it("says what is missing at the section that lacks it", () => {
    expect(messageOf("model: {variant: S-B/16}\ndata:\n  size: 256\n")).toBe(
      "Expected a text for data.path, received nothing (x.yaml:2:1).",
    );
  });

  it("explains a variant that does not exist", () => {
    expect(messageOf(minimal, ["model.variant=S-X/16"])).toMatch(/Expected <encoder>.*\(x.yaml\)/);
  });

  it("keeps broken YAML, a broken override and a missing file apart", () => {
    expect(messageOf("model: {variant: [")).toMatch(/\(x.yaml:1:\d+\)$/);
    expect(messageOf(minimal, ["train.steps"])).toContain("Expected key=value for --set");
    expect(messageOf(minimal, ["seed.a=1"])).toContain("seed");
    expect(() => loadTrainConfig(join(folder, "none.yaml"))).toThrow(/cannot be read/);
  });

  it("cannot reach an object's prototype", () => {
    messageOf(minimal, ["__proto__.polluted=1"]);
    expect("polluted" in {}).toBe(false);
  });
});

describe("the nearest name", () => {
  it("is counted in single edits", () => {
    expect(editDistance("kitten", "sitting")).toBe(3);
    expect(editDistance("", "abc")).toBe(3);
  });

  it("is none when every name is far", () => {
    expect(nearest("learningRate", ["steps", "peakLr"])).toBeUndefined();
    expect(nearest("stepss", ["steps", "peakLr"])).toBe("steps");
  });
});

describe("configs/", () => {
  const configs = fileURLToPath(new URL("../../configs/", import.meta.url));
  it.each(readdirSync(configs).filter((name) => name.endsWith(".yaml")))("%s is valid", (name) => {
    expect(() => loadTrainConfig(join(configs, name))).not.toThrow();
  });
});
