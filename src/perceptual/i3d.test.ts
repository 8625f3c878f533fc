// Checks I3D against an independent implementation in PyTorch with weights from a formula (scripts/make-metric-fixtures.py):
// logits 1e-4 relative to their size, FVD and the Inception Score computed from them 1e-3; and what it refuses.
import { copyFileSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { formula } from "../../test/formula.js";
import { frechetDistance } from "../metrics/frechet.js";
import { InceptionScore } from "../metrics/inception-score.js";
import { Moments } from "../metrics/moments.js";
import { writeSafetensors } from "../nn/safetensors.js";
import { full, keep, liveTensors, ones, scope, type Tensor, zeros } from "../torch/index.js";
import { I3d } from "./i3d.js";
import { logitsShape, units } from "./i3d-layers.js";

const fixture = new URL("../../test/fixtures/i3d.json", import.meta.url);
const expected = JSON.parse(readFileSync(fixture, "utf8"));

/** The fixture's weights: five tensors a layer, in the network's order. */
function formulaWeights(): Record<string, Tensor> {
  let k = 100;
  const draw = (shape: readonly number[], scale: number) => formula(shape, k++, scale);
  const layers = units.flatMap(({ name, shape }) => {
    const [out = 0, ...rest] = shape;
    const fanIn = rest.reduce((product, size) => product * size, 1);
    return [
      [`${name}.conv3d.weight`, draw(shape, Math.sqrt(6 / fanIn))],
      [`${name}.bn.weight`, draw([out], 0.2).add(1)],
      [`${name}.bn.bias`, draw([out], 0.1)],
      [`${name}.bn.running_mean`, draw([out], 0.1)],
      [`${name}.bn.running_var`, draw([out], 0.5).add(1)],
    ] as const;
  });
  return Object.fromEntries([
    ...layers,
    ["logits.conv3d.weight", draw(logitsShape, 0.2)],
    ["logits.conv3d.bias", draw([400], 1)],
  ]);
}

/** Whole numbers 0..255, [count, 3, 10, height, width]; each clip has its own colours. */
const clips = (count: number, k: number, [height, width]: [number, number]): Tensor =>
  formula([count, 3, 10, height, width], k, 60)
    .add(formula([count, 3, 1, 1, 1], k + 1, 60))
    .add(127.5)
    .round();

const numbers = (tensor: Tensor): number[] => [...tensor.toArray()].map(Number);

/** Largest difference, relative to the largest number. */
function distance(actual: readonly number[], wanted: readonly number[]): number {
  expect(actual.length).toBe(wanted.length);
  const differences = actual.map((value, i) => Math.abs(value - wanted[i]!));
  return Math.max(...differences) / Math.max(...wanted.map(Math.abs));
}

describe("with weights from a formula", () => {
  let weights: Record<string, Tensor>;
  let before: number;
  beforeAll(() => {
    weights = keep(scope(formulaWeights));
    before = liveTensors();
  });
  afterAll(() => {
    expect(liveTensors(), "tensors left behind").toBe(before);
    for (const tensor of Object.values(weights)) tensor.dispose();
  });

  test("logits, and FVD and the Inception Score of them, are those of an independent network", () => {
    const network = new I3d(weights);
    const logits = scope(() =>
      [20, 30].map((k) => network.forward(clips(4, k, [40, 48]), ["logits"]).logits),
    );
    expect(distance(numbers(logits[0]!), expected.real)).toBeLessThan(1e-4);
    const score = new InceptionScore({ count: 8, splits: 2 });
    const moments = logits.map((batch) => {
      score.update(batch);
      const of = new Moments(400);
      of.update(batch);
      return of;
    });
    expect(frechetDistance(moments[0]!, moments[1]!) / expected.fvd).toBeCloseTo(1, 3);
    expect(score.compute().mean / expected.inceptionScore.mean).toBeCloseTo(1, 4);
    for (const held of [network, score, ...moments, ...logits]) held.dispose();
  });

  test("logits under VideoGPT's preparation, of wide and of tall clips, are too", () => {
    const network = new I3d(weights, { protocol: "videogpt" });
    scope(() => {
      for (const [name, size] of [
        ["wide", [36, 50]],
        ["tall", [50, 37]],
      ] as const) {
        const { logits } = network.forward(clips(1, 40, [...size]), ["logits"]);
        const some = logits.slice(1, 0, 400, 10);
        expect(distance(numbers(some), expected.videogpt[name])).toBeLessThan(1e-4);
      }
    });
    network.dispose();
  });

  test("a file gives the same network, its names below a prefix or not", () => {
    const path = join(tmpdir(), `i3d-${process.pid}.safetensors`);
    scope(() => {
      const prefixed = Object.entries(weights).map(([name, tensor]) => [`module.${name}`, tensor]);
      writeSafetensors(path, Object.fromEntries(prefixed));
      const [given, loaded] = [new I3d(weights), I3d.load({ path })];
      const pixels = clips(1, 20, [40, 48]).to({ dtype: "uint8" });
      const results = [given, loaded].map((network) =>
        numbers(network.forward(pixels, ["logits"]).logits),
      );
      expect(results[1]).toEqual(results[0]);
      expect([loaded.name, loaded.weightsPath, loaded.taps]).toEqual([
        "i3d-kinetics-400",
        path,
        ["logits"],
      ]);
      given.dispose();
      loaded.dispose();
    });
    rmSync(path);
  });

  test("short clips, pictures and other taps are refused", () => {
    const network = new I3d(weights);
    scope(() => {
      expect(() => network.forward(zeros([1, 3, 9, 32, 32]), ["logits"])).toThrow(
        /at least 10 frames.*received \[1,3,9,32,32\]/,
      );
      expect(() => network.forward(zeros([1, 3, 32, 32]), ["logits"])).toThrow(/clips \[B, 3, T/);
      expect(() => network.forward(zeros([1, 3, 10, 32, 32]), ["2048"])).toThrow(
        /tap logits for I3D, received 2048/,
      );
    });
    network.dispose();
  });

  test("weights with a layer missing, of flow, of other classes are refused by name", () => {
    scope(() => {
      const { "Mixed_4d.b2b.bn.running_var": _, ...partial } = weights;
      expect(() => new I3d(partial)).toThrow(/Mixed_4d\.b2b\.bn\.running_var.*received none/);
      const flow = { ...weights, "Conv3d_1a_7x7.conv3d.weight": ones([64, 2, 7, 7, 7]) };
      expect(() => new I3d(flow)).toThrow(/\[64,2,7,7,7\], which is the network for flow/);
      const charades = { ...weights, "logits.conv3d.weight": ones([157, 1024, 1, 1, 1]) };
      expect(() => new I3d(charades, { weightsPath: "x.pt" })).toThrow(/x\.pt: .*157 classes/);
    });
  });
});

describe("a TorchScript module", () => {
  const path = fileURLToPath(new URL("../../test/fixtures/i3d-module.pt", import.meta.url));

  test("runs where it is named, on clips that are prepared here", () => {
    scope(() => {
      const network = I3d.load({ path });
      const white = full([2, 3, 10, 32, 32], 255);
      const { logits } = network.forward(white, ["logits"]);
      expect(logits.shape).toEqual([2, 400]);
      expect(logits.sub(1).abs().amax().item()).toBeLessThan(1e-5);
      expect(network.weightsPath).toBe(path);
      network.dispose();
    });
  });

  test("is not run where it was only found", () => {
    const folder = mkdtempSync(join(tmpdir(), "i3d-"));
    copyFileSync(path, join(folder, "rgb_imagenet.pt"));
    vi.stubEnv("VITOK_WEIGHTS", folder);
    expect(() => I3d.load()).toThrow(/TorchScript module, which is a program\. Name the file/);
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true });
  });
});
