// Checks LPIPS against the public implementation's two example distances (../shared, 1e-4), and the
// three trunks against torchvision with weights from a formula (scripts/make-perceptual-fixtures.py,
// 1e-4 relative; gradients 1e-3).
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { autocast, type DType, liveTensors, scope, Tensor } from "../torch/index.js";
import { Lpips, type TrunkName } from "./lpips.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const shared = join(root, "../shared");

interface Expected {
  readonly distance: number[];
  readonly gradNorm: number;
}
const fixtures: Record<TrunkName, Expected> = JSON.parse(
  readFileSync(join(root, "test/fixtures/perceptual.json"), "utf8"),
);

/** sin(0.7 i + k) * scale, as the fixture's script has it */
function formula(shape: number[], k: number, scale: number): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length: count }, (_, i) => Math.sin(0.7 * i + k) * scale);
  return Tensor.from(values, shape);
}

type Layer = readonly [name: string, shape: number[]];
const conv = (name: string, out: number, into: number, kernel: number): Layer => [
  `features.${name}`,
  [out, into, kernel, kernel],
];
const fire = (name: number, into: number, squeeze: number, expand: number): Layer[] => [
  conv(`${name}.squeeze`, squeeze, into, 1),
  conv(`${name}.expand1x1`, expand, squeeze, 1),
  conv(`${name}.expand3x3`, expand, squeeze, 3),
];
const vggWidths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512];
const layers: Record<TrunkName, Layer[]> = {
  vgg: [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28].map((layer, i) =>
    conv(`${layer}`, vggWidths[i]!, vggWidths[i - 1] ?? 3, 3),
  ),
  alex: [
    conv("0", 64, 3, 11),
    conv("3", 192, 64, 5),
    conv("6", 384, 192, 3),
    conv("8", 256, 384, 3),
    conv("10", 256, 256, 3),
  ],
  squeeze: [
    conv("0", 64, 3, 3),
    ...fire(3, 64, 16, 64),
    ...fire(4, 128, 16, 64),
    ...fire(6, 128, 32, 128),
    ...fire(7, 256, 32, 128),
    ...fire(9, 256, 48, 192),
    ...fire(10, 384, 48, 192),
    ...fire(11, 384, 64, 256),
    ...fire(12, 512, 64, 256),
  ],
};
const tapWidths = {
  vgg: [64, 128, 256, 512, 512],
  alex: [64, 192, 384, 256, 256],
  squeeze: [64, 128, 256, 384, 384, 512, 512],
};

function formulaNetwork(trunk: TrunkName, dtype: DType = "float32"): Lpips {
  return scope(() => {
    const weights = layers[trunk].flatMap(([name, shape], i) => {
      const fanIn = shape.slice(1).reduce((product, size) => product * size, 1);
      return [
        [`${name}.weight`, formula(shape, 2 * i, 2 / Math.sqrt(fanIn))] as const,
        [`${name}.bias`, formula([shape[0]!], 2 * i + 1, 0.1)] as const,
      ];
    });
    const heads = tapWidths[trunk].map(
      (width, i) => [`lin${i}.model.1.weight`, formula([1, width, 1, 1], i, 1).abs()] as const,
    );
    return new Lpips(Object.fromEntries(weights), Object.fromEntries(heads), { trunk, dtype });
  });
}

describe.each(["vgg", "alex", "squeeze"] as const)("%s with weights from a formula", (trunk) => {
  let network: Lpips;
  beforeAll(() => {
    network = formulaNetwork(trunk);
  });
  afterAll(() => network.dispose());

  test("gives torchvision's distances and gradient", () => {
    const recon = formula([2, 3, 48, 40], 1, 1).requiresGrad_();
    const distance = network.forward(recon, formula([2, 3, 48, 40], 2.5, 1));
    distance.sum().backward();
    const { distance: expected, gradNorm } = fixtures[trunk];
    const actual = [...distance.toArray()].map(Number);
    for (const [i, value] of actual.entries()) expect(value / expected[i]!).toBeCloseTo(1, 4);
    const norm = recon.grad!.square().sum().sqrt().item();
    expect(norm / gradNorm).toBeCloseTo(1, 3);
  });

  test("refuses pictures too small for its deepest tap, and takes the smallest that is not", () => {
    const size = { vgg: 16, alex: 31, squeeze: 17 }[trunk];
    const distance = (n: number) =>
      scope(() => network.forward(formula([1, 3, n, n], 1, 1), formula([1, 3, n, n], 2, 1)).item());
    expect(distance(size)).toBeGreaterThan(0);
    expect(() => distance(size - 1)).toThrow(/at least \d+ x \d+ for LPIPS/);
  });
});

describe("the distance", () => {
  let network: Lpips;
  beforeAll(() => {
    network = formulaNetwork("squeeze");
  });
  afterAll(() => network.dispose());

  test("of a clip is that of its frames, clip by clip", () => {
    const recon = formula([2, 3, 2, 32, 32], 1, 1);
    const target = formula([2, 3, 2, 32, 32], 2, 1);
    const whole = [...network.forward(recon, target).toArray()].map(Number);
    const frame = (x: Tensor, clip: number, t: number) => x.narrow(0, clip, 1).select(2, t);
    const each = [0, 1].flatMap((b) =>
      [0, 1].map((t) => network.forward(frame(recon, b, t), frame(target, b, t)).item()),
    );
    for (const [i, value] of whole.entries()) expect(value).toBeCloseTo(each[i]!, 5);
  });

  test("of a picture from itself is 0, with a gradient of 0", () => {
    const recon = formula([1, 3, 32, 32], 1, 1).requiresGrad_();
    const distance = network.forward(recon, recon.detach());
    distance.backward();
    expect(distance.item()).toBe(0);
    expect(recon.grad!.abs().amax().item()).toBe(0);
  });

  test("lets no gradient into the target", () => {
    const recon = formula([1, 3, 32, 32], 1, 1).requiresGrad_();
    const target = formula([1, 3, 32, 32], 2, 1).requiresGrad_();
    network.forward(recon, target).backward();
    expect(target.grad).toBeNull();
  });

  test("with bfloat16 convolutions, by dtype or by autocast, is float32 and close", () => {
    const pixels = [formula([1, 3, 32, 32], 1, 1), formula([1, 3, 32, 32], 2, 1)] as const;
    const exact = network.forward(...pixels).item();
    const half = formulaNetwork("squeeze", "bfloat16");
    const coarse = [
      half.forward(...pixels),
      autocast({ device: "cpu", dtype: "bfloat16" }, () => network.forward(...pixels)),
    ];
    for (const distance of coarse) {
      expect(distance.dtype).toBe("float32");
      expect(distance.item()).not.toBe(exact);
      expect(distance.item() / exact).toBeCloseTo(1, 1);
    }
    half.dispose();
  });

  test("leaves no tensor behind", () => {
    const recon = formula([1, 3, 32, 32], 1, 1);
    const before = liveTensors();
    network.forward(recon, recon).dispose();
    expect(liveTensors()).toBe(before);
  });
});

test("a feature that is 0 everywhere has a gradient of 0, not NaN", () => {
  const weights = Object.fromEntries(
    layers.alex.flatMap(([name, shape], i) => [
      [`${name}.weight`, formula(shape, i, 1).mul(0)],
      [`${name}.bias`, formula([shape[0]!], i, 1).mul(0)],
    ]),
  );
  const heads = tapWidths.alex.map(
    (width, i) => [`lin${i}.model.1.weight`, formula([1, width, 1, 1], i, 1).abs()] as const,
  );
  const network = new Lpips(weights, Object.fromEntries(heads), { trunk: "alex" });
  const recon = formula([1, 3, 32, 32], 1, 1).requiresGrad_();
  const distance = network.forward(recon, formula([1, 3, 32, 32], 2, 1));
  distance.backward();
  expect(distance.item()).toBe(0);
  expect(recon.grad!.abs().sum().item()).toBe(0);
  network.dispose();
});

test("heads of another trunk are refused", () => {
  const heads = { "lin0.model.1.weight": formula([1, 32, 1, 1], 0, 1) };
  expect(() => new Lpips({}, heads)).toThrow(/lin0.*\[1,64,1,1\].*received \[1,32,1,1\]/);
});

/** A picture file as pixels [1, 3, H, W] in [-1, 1]. */
async function loadPixels(path: string): Promise<Tensor> {
  const { data, info } = await sharp(path)
    .removeAlpha()
    .toColourspace("srgb")
    .raw()
    .toBuffer({ resolveWithObject: true });
  const bytes = Tensor.from(new Uint8Array(data), [1, info.height, info.width, 3]);
  return bytes.permute([0, 3, 1, 2]).to({ dtype: "float32" }).div(127.5).sub(1);
}

describe.skipIf(!existsSync(shared))("SqueezeNet with its real weights (../shared)", () => {
  let network: Lpips;
  beforeAll(() => {
    process.env.VITOK_WEIGHTS = join(shared, "weights");
    network = Lpips.load({ trunk: "squeeze" });
  });
  afterAll(() => {
    network.dispose();
    delete process.env.VITOK_WEIGHTS;
  });

  test.each([
    ["ex_p0.png", 0.7112],
    ["ex_p1.png", 0.1479],
  ])("gives the public implementation's distance for %s", async (name, expected) => {
    const folder = join(shared, "weights/lpips/examples");
    const reference = await loadPixels(join(folder, "ex_ref.png"));
    const other = await loadPixels(join(folder, name));
    const distance = scope(() => network.forward(other, reference).item());
    expect(Math.abs(distance - expected)).toBeLessThan(1e-4);
  });
});
