// Checks both Inceptions against torchvision with weights from a formula (scripts/make-inception-fixtures.py, every tap
// and input within 1e-4 relative), what they say of incomplete and wrong weights, and that no tensor stays behind.
import {
  copyFileSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { readSafetensors, writeSafetensors } from "../nn/safetensors.js";
import { autocast, keep, liveTensors, type Shape, scope, Tensor, zeros } from "../torch/index.js";
import type { FeatureNetwork, Tap } from "./feature-network.js";
import { Inception2015 } from "./inception-2015.js";
import { inceptionSteps } from "./inception-layers.js";
import { InceptionTorchvision } from "./inception-torchvision.js";
import { expectedLayers } from "./inception-weights.js";

const fixtures = fileURLToPath(new URL("../../test/fixtures/", import.meta.url));
const expected = keep(readSafetensors(join(fixtures, "inception/features.safetensors")));
const allTaps: readonly Tap[] = ["64", "192", "768", "2048", "logits"];

/** In [-1, 1): FNV-1a of the name seeds lowbias32 of the index, as the fixture's script has it. */
function uniform(name: string, count: number): Float64Array {
  let seed = 2166136261;
  for (const byte of Buffer.from(name)) seed = Math.imul(seed ^ byte, 16777619);
  const numbers = new Float64Array(count);
  for (let i = 0; i < count; i++) {
    let h = (i + seed) | 0;
    h = Math.imul(h ^ (h >>> 16), 0x7feb352d);
    h = Math.imul(h ^ (h >>> 15), 0x846ca68b);
    numbers[i] = ((h ^ (h >>> 16)) >>> 0) / 2 ** 31 - 1;
  }
  return numbers;
}

function formula(name: string, shape: Shape): Tensor {
  const [, ...inputs] = shape;
  const fanIn = inputs.reduce((product, size) => product * size, 1);
  const isScale = name.endsWith("bn.weight") || name.endsWith("running_var");
  const [shift, scale] = inputs.length ? [0, Math.sqrt(6 / fanIn)] : isScale ? [1, 0.5] : [0, 0.2];
  const numbers = uniform(name, shape[0]! * fanIn);
  return Tensor.from(numbers, shape, { dtype: "float32" }).mul_(scale).add_(shift);
}

/** torchvision's state dict, every number from the formula. */
function formulaWeights(classes: number): Record<string, Tensor> {
  const shapes: [string, Shape][] = [
    ["fc.weight", [classes, 2048]],
    ["fc.bias", [classes]],
  ];
  for (const layer of expectedLayers(inceptionSteps({ lastPool: "max" }))) {
    if (typeof layer === "string") continue;
    const norm = ["weight", "bias", "running_mean", "running_var"] as const;
    const width = layer.shape.slice(0, 1);
    shapes.push([`${layer.name}.conv.weight`, layer.shape]);
    for (const part of norm) shapes.push([`${layer.name}.bn.${part}`, width]);
  }
  return Object.fromEntries(shapes.map(([name, shape]) => [name, formula(name, shape)]));
}

/** Whole numbers 0..255, [2, 3, height, width]. */
function pictures(height: number, width: number): Tensor {
  const numbers = uniform("pixels", 2 * 3 * height * width);
  const bytes = Uint8Array.from(numbers, (u) => Math.floor((u + 1) * 128));
  return Tensor.from(bytes, [2, 3, height, width]);
}
const small = () => pictures(40, 56);
const large = () => pictures(320, 310);

/** |actual - expected| / |expected|, over all numbers together. */
function relativeError(actual: Tensor, name: string): number {
  const reference = expected[name]!;
  expect(actual.shape).toEqual(reference.shape);
  const norm = (x: Tensor) => x.square().sum().sqrt().item();
  return norm(actual.sub(reference)) / norm(reference);
}

let folder: string;
let weights2015: Record<string, Tensor>;
let network: FeatureNetwork;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "inception-"));
  weights2015 = keep(formulaWeights(1008));
  network = new Inception2015(weights2015);
});
afterAll(() => {
  network.dispose();
  for (const tensor of Object.values({ ...weights2015, ...expected })) tensor.dispose();
  rmSync(folder, { recursive: true });
});

describe("the Inception of 2015 with weights from a formula", () => {
  test("gives the patched torchvision's features at every tap", () =>
    scope(() => {
      const features = network.forward(small(), allTaps);
      for (const tap of allTaps)
        expect(relativeError(features[tap], `tensorflow.small.${tap}`), tap).toBeLessThan(1e-4);
    }));

  test.each(["tensorflow", "pytorch"] as const)("prepares its input as %s does", (protocol) =>
    scope(() => {
      const other = new Inception2015(weights2015, { protocol });
      for (const [size, pixels] of Object.entries({ small: small(), large: large() })) {
        const features = other.forward(pixels, ["64"]);
        expect(relativeError(features["64"], `${protocol}.${size}.64`), size).toBeLessThan(1e-4);
      }
      other.dispose();
    }),
  );

  test("gives a tap the same features whichever others are asked for, and only those", () =>
    scope(() => {
      const alone = network.forward(small(), ["768"]);
      expect(Object.keys(alone)).toEqual(["768"]);
      expect(relativeError(alone["768"], "tensorflow.small.768")).toBeLessThan(1e-4);
    }));

  test("stays in float32 without gradient, whatever the pixels and autocast are", () =>
    scope(() => {
      const pixels = small().to({ dtype: "float32" }).requiresGrad_();
      const features = autocast({ device: "cpu", dtype: "bfloat16" }, () =>
        network.forward(pixels, ["64"]),
      );
      expect(features["64"].dtype).toBe("float32");
      expect(features["64"].requiresGrad).toBe(false);
      expect(relativeError(features["64"], "tensorflow.small.64")).toBeLessThan(1e-4);
    }));

  test("leaves no tensor behind but its features, and none after dispose", () => {
    const before = liveTensors();
    const other = scope(() => new Inception2015(weights2015));
    const loaded = liveTensors();
    const pixels = small();
    const features = other.forward(pixels, ["64", "192"]);
    expect(liveTensors()).toBe(loaded + 3);
    for (const tensor of [pixels, ...Object.values(features)]) tensor.dispose();
    other.dispose();
    expect(liveTensors()).toBe(before);
  });

  test("refuses what is no batch of pictures", () => {
    expect(() => scope(() => network.forward(zeros([3, 8, 8]), ["64"]))).toThrow(
      /Expected pixels \[N, 3, H, W\].*received \[3,8,8\]/,
    );
  });
});

describe("torchvision's Inception with weights from a formula", () => {
  test("gives torchvision's features and logits", () =>
    scope(() => {
      const vision = new InceptionTorchvision(formulaWeights(1000));
      const features = vision.forward(small(), ["2048", "logits"]);
      for (const tap of ["2048", "logits"] as const)
        expect(relativeError(features[tap], `torchvision.${tap}`), tap).toBeLessThan(1e-4);
      vision.dispose();
    }));
});

describe("a TorchScript module", () => {
  const path = join(fixtures, "inception/module.pt");

  test("named by its path serves features and, without bias, logits but for a constant", () =>
    scope(() => {
      const module = Inception2015.load({ path });
      expect([module.name, module.taps]).toEqual(["inception-2015", ["2048", "logits"]]);
      const features = module.forward(small(), ["2048", "logits"]);
      expect(features["2048"].shape).toEqual([2, 2048]);
      const mean = small().to({ dtype: "float32" }).mean([1, 2, 3]);
      expect(features["2048"].select(1, 7).sub(mean).abs().amax().item()).toBeLessThan(1e-4);
      const rise = features.logits.select(1, 1007).sub(features.logits.select(1, 0));
      expect(rise.sub(mean.mul(0.01)).abs().amax().item()).toBeLessThan(1e-4);
      module.dispose();
    }));

  test("does not give what it hides, and is not run where it was merely found", () => {
    const module = Inception2015.load({ path });
    expect(() => module.forward(small(), ["768"])).toThrow(/covers \(2048, logits\).*received 768/);
    module.dispose();
    expect(() => Inception2015.load({ path, protocol: "pytorch" })).toThrow(/resizes by itself/);
    copyFileSync(path, join(folder, "inception-2015-12-05.pt"));
    vi.stubEnv("VITOK_WEIGHTS", folder);
    expect(() => Inception2015.load()).toThrow(/TorchScript module, which is a program/);
    vi.unstubAllEnvs();
  });
});

describe("a weight file", () => {
  const save = (name: string, tensors: Record<string, Tensor>): string => {
    writeSafetensors(join(folder, name), tensors);
    return join(folder, name);
  };
  const stem = () => {
    const names = Object.keys(weights2015).filter((name) => /^Conv2d_[12]/.test(name));
    return Object.fromEntries(names.map((name) => [name, weights2015[name]!]));
  };

  test("that ends early serves the taps before, under any prefix, and says what is missing", () =>
    scope(() => {
      const prefixed = Object.entries(stem()).map(([name, tensor]) => [`module.${name}`, tensor]);
      const path = save("stem.safetensors", Object.fromEntries(prefixed));
      const partial = Inception2015.load({ path });
      expect(partial.taps).toEqual(["64"]);
      expect(partial.missing).toBe("Conv2d_3b_1x1 and 91 more layers");
      const features = partial.forward(small(), ["64"]);
      expect(relativeError(features["64"], "tensorflow.small.64")).toBeLessThan(1e-4);
      expect(() => partial.forward(small(), ["2048"])).toThrow(
        /stem\.safetensors covers \(64\) for inception-2015, received 2048: missing are Conv2d_3b/,
      );
      partial.dispose();
    }));

  test("of the other Inception is refused, and says which it is", () =>
    scope(() => {
      const vision = save("vision.safetensors", { "fc.weight": zeros([1000, 2048]) });
      expect(() => Inception2015.load({ path: vision })).toThrow(
        /for the FID Inception of 2015.*vision\.safetensors.*which is torchvision's ImageNet/,
      );
      const auxiliary = { ...stem(), "AuxLogits.fc.weight": zeros([1000, 768]) };
      expect(() => new Inception2015(auxiliary)).toThrow(/AuxLogits.*torchvision's ImageNet/);
      expect(() => new InceptionTorchvision(weights2015)).toThrow(
        /fc\.weight of shape \[1000,2048\].*received.*\[1008,2048\], which is the FID Inception/,
      );
    }));

  test("of another network, or with a layer of another shape, is refused", () =>
    scope(() => {
      expect(() => new Inception2015({ "features.0.weight": zeros([64, 3, 3, 3]) })).toThrow(
        /up to the first max pool for the FID Inception of 2015, received no Conv2d_1a_3x3/,
      );
      const misshapen = { ...stem(), "Conv2d_2a_3x3.conv.weight": zeros([32, 32, 5, 5]) };
      expect(() => new Inception2015(misshapen)).toThrow(
        /Conv2d_2a_3x3\.conv\.weight of shape \[32,32,3,3\].*received \[32,32,5,5\]/,
      );
    }));

  test("that is truncated is refused by name", () => {
    const whole = save("whole.safetensors", stem());
    truncateSync(whole, 5000);
    expect(() => Inception2015.load({ path: whole })).toThrow(/whole\.safetensors/);
    const cut = join(folder, "cut.pth");
    writeFileSync(cut, readFileSync(join(fixtures, "pth/zip.pth")).subarray(0, 3000));
    expect(() => Inception2015.load({ path: cut })).toThrow(/cut\.pth/);
    expect(() => InceptionTorchvision.load({ path: cut })).toThrow(/cut\.pth/);
  });
});
