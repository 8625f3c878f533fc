// The discriminator, both sides of the hinge, R1 (a gradient of a gradient) and LeCam against PyTorch 2.13 in float64
// (scripts/make-gan-fixtures.py): values and logits within 1e-5 of them, gradients of pictures and of every weight by products
// within 1e-5 of norm times norm. Weights come from test/formula.ts. The average of weights within 1e-7.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { formula } from "../../test/formula.js";
import { emaDecay, updateEma } from "../nn/ema.js";
import { loadStateDict, parameters } from "../nn/parameters.js";
import { autocast, grad, liveTensors, rand, scope, Tensor } from "../torch/index.js";
import { adversarialLoss, discriminatorLoss, leCamPenalty, r1Penalty } from "./adversarial.js";
import { Discriminator } from "./discriminator.js";

interface Known {
  readonly value: number;
  readonly gradients: Record<string, [number, number, number]>;
}
const known = JSON.parse(
  readFileSync(fileURLToPath(new URL("../../test/fixtures/gan.json", import.meta.url)), "utf8"),
) as {
  network: { size: number; width: number; count: number };
  parameters: Record<string, number[]>;
  logits: { real: number[]; fake: number[] };
  lecam: { anchors: { real: number; fake: number } };
  ema: number[][];
} & Record<"adversarial" | "hinge" | "r1" | "lecam", Known>;

const { size, width, count } = known.network;
const network = new Discriminator(size, width);
scope(() => {
  const weights = Object.entries(known.parameters).map(([name, shape], k) => {
    const fanIn = shape.slice(1).reduce((product, side) => product * side, 1);
    const scale = name.endsWith("weight") ? 3 / Math.sqrt(fanIn) : 0.2;
    return [name, name === "logit.bias" ? Tensor.from([-2.8]) : formula(shape, k, scale)];
  });
  loadStateDict(network, Object.fromEntries(weights));
});
afterAll(() => network.dispose());

const pictures = (k: number) => formula([count, 3, size, size], k).requiresGrad_();

/** Products and norm of every gradient of `loss` against the fixture's. */
function expectGradients(loss: Tensor, pixels: Tensor, { gradients }: Known): void {
  const named = [["pixels", pixels] as const, ...parameters(network)].filter(
    ([name]) => name in gradients,
  );
  const found = grad(
    [loss],
    named.map(([, tensor]) => tensor),
    { retainGraph: true },
  );
  expect(found.length).toBe(Object.keys(gradients).length);
  for (const [index, [name]] of named.entries()) {
    const [first, second, norm] = gradients[name]!;
    const gradient = found[index]!;
    const close = (value: number, expected: number, scale: number, what: string) =>
      expect(Math.abs(value - expected), `${what} of ${name}`).toBeLessThanOrEqual(1e-5 * scale);
    close(gradient.square().sum().sqrt().item(), norm, norm, "norm");
    for (const [k, expected] of [first, second].entries()) {
      const other = formula(gradient.shape, 900 + k);
      const scale = norm * other.square().sum().sqrt().item();
      close(gradient.mul(other).sum().item(), expected, scale, "product");
    }
  }
}

function expectClose(value: Tensor, expected: number): void {
  expect(Math.abs(value.item() - expected)).toBeLessThanOrEqual(1e-5 * Math.max(1, expected));
}

describe("StyleGAN2's discriminator with PyTorch's weights", () => {
  test("has its parameters' names and shapes, and gives its logits", () => {
    const shapes = [...parameters(network)].map(([name, { shape }]) => [name, [...shape]]);
    expect(Object.fromEntries(shapes)).toEqual(known.parameters);
    scope(() => {
      for (const [kind, k] of [["real", 500] as const, ["fake", 501] as const])
        for (const [i, logit] of network.forward(pictures(k)).toArray().entries())
          expect(Math.abs(Number(logit) - known.logits[kind][i]!)).toBeLessThanOrEqual(1e-5);
    });
  });

  test("gives the decoder's side and its gradients", () => {
    scope(() => {
      const pixels = pictures(501);
      const loss = adversarialLoss(network.forward(pixels));
      expectClose(loss, known.adversarial.value);
      expectGradients(loss, pixels, known.adversarial);
    });
  });

  test("gives its own side and its gradients", () => {
    scope(() => {
      const fake = pictures(501);
      const logits = { real: network.forward(pictures(500)), fake: network.forward(fake) };
      const loss = discriminatorLoss(logits);
      expectClose(loss, known.hinge.value);
      expectGradients(loss, fake, known.hinge);
    });
  });

  test("gives R1 and its gradients, through a gradient", () => {
    scope(() => {
      const pixels = pictures(500);
      const loss = r1Penalty(network.forward(pixels), pixels);
      expectClose(loss, known.r1.value);
      expectGradients(loss, pixels, known.r1);
    });
  });

  test("gives LeCam's penalty and its gradients", () => {
    scope(() => {
      const fake = pictures(501);
      const logits = { real: network.forward(pictures(500)), fake: network.forward(fake) };
      const loss = leCamPenalty(logits, known.lecam.anchors);
      expectClose(loss, known.lecam.value);
      expectGradients(loss, fake, known.lecam);
    });
  });
});

describe("a discriminator", () => {
  test("has StyleGAN2's channels by size, or a share of them", () => {
    const widthsOf = (side: number, share?: number) => {
      const made = new Discriminator(side, share);
      const widths = [made.fromRgb, ...made.blocks.map(({ conv2 }) => conv2)];
      const sizes = widths.map(({ weight }) => weight.size(0));
      made.dispose();
      return sizes;
    };
    expect(widthsOf(512, 1 / 16)).toEqual([2, 4, 8, 16, 32, 32, 32, 32]);
    expect(widthsOf(16)).toEqual([512, 512, 512]);
  });

  test("starts from its seed with Xavier's bounds", () => {
    const [a, b, c] = [1, 1, 2].map((seed) => Discriminator.create(8, { width: 1 / 16, seed }));
    expect(a!.hidden.weight.toArray()).toEqual(b!.hidden.weight.toArray());
    expect(a!.hidden.weight.toArray()).not.toEqual(c!.hidden.weight.toArray());
    const bound = Math.sqrt(6 / (32 * 16 + 32));
    const most = a!.hidden.weight.abs().amax().item();
    expect(most / bound).toBeGreaterThan(0.999);
    expect(most / bound).toBeLessThanOrEqual(1.000001);
    for (const made of [a!, b!, c!]) made.dispose();
  });

  test("refuses other sizes", () => {
    expect(() => new Discriminator(96)).toThrow(/power of two from 8 to 512.*received 96/);
    expect(() => network.forward(rand([1, 3, 32, 32]))).toThrow(/\[N, 3, 64, 64\].*received/);
  });

  test("has float32 logits and losses under autocast, and leaves no tensor behind", () => {
    const before = liveTensors();
    scope(() => {
      const pixels = pictures(500);
      const low = autocast({ device: "cpu", dtype: "bfloat16" }, () => network.forward(pixels));
      expect(low.dtype).toBe("float32");
      expect(discriminatorLoss({ real: low, fake: low }).dtype).toBe("float32");
      const half = low.to({ dtype: "bfloat16" });
      expect(adversarialLoss(half).dtype).toBe("float32");
      // bfloat16 has 8 bits: half a per cent of the logits' spread before the bias.
      for (const [i, logit] of low.toArray().entries())
        expect(Math.abs(Number(logit) - known.logits.real[i]!)).toBeLessThan(0.1);
    });
    expect(liveTensors()).toBe(before);
  });
});

test("the average of weights follows its formula, in float32", () => {
  const average = formula([5], 1);
  for (const [t, expected] of known.ema.entries()) {
    updateEma([average], [formula([5], t + 2)], emaDecay(t));
    for (const [i, value] of average.toArray().entries())
      expect(Math.abs(Number(value) - expected[i]!)).toBeLessThanOrEqual(1e-7);
  }
  expect(emaDecay(0)).toBe(0.1);
  expect(emaDecay(200_000)).toBe(0.9999);
  const low = formula([5], 1).to({ dtype: "bfloat16" });
  const wide = formula([5], 1);
  updateEma([wide], [low], 0.9999);
  expect(wide.dtype).toBe("float32");
});
