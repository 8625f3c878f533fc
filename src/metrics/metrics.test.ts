// Checks PSNR, SSIM and LPIPS against independent implementations on real picture pairs (../shared,
// golden/metrics.json: the definition, torchmetrics, plain PyTorch; 1e-4 absolute), and their edges
// against the definitions.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Lpips } from "../perceptual/lpips.js";
import { liveTensors, Tensor } from "../torch/index.js";
import { lpips } from "./lpips.js";
import { summarise } from "./metric.js";
import { psnr } from "./psnr.js";
import { ssim } from "./ssim.js";

const shared = fileURLToPath(new URL("../../../shared", import.meta.url));

/** A picture file as bytes [1, 3, H, W]. */
async function loadBytes(path: string): Promise<Tensor> {
  const image = sharp(path).removeAlpha().toColourspace("srgb").raw();
  const { data, info } = await image.toBuffer({ resolveWithObject: true });
  return Tensor.from(new Uint8Array(data), [1, info.height, info.width, 3]).permute([0, 3, 1, 2]);
}

interface Pair {
  readonly a: string;
  readonly b: string;
  readonly psnr: number;
  readonly ssim: number;
  readonly lpips_squeeze: number;
}

describe.skipIf(!existsSync(shared))("picture pairs of the golden file (../shared)", () => {
  const golden = join(shared, "reference/golden/metrics.json");
  const pairs: Pair[] = existsSync(golden) ? JSON.parse(readFileSync(golden, "utf8")).pairs : [];
  let network: Lpips;
  beforeAll(() => {
    process.env.VITOK_WEIGHTS = join(shared, "weights");
    network = Lpips.load({ trunk: "squeeze" });
  });
  afterAll(() => {
    network.dispose();
    delete process.env.VITOK_WEIGHTS;
  });

  test.each(pairs)(
    "$a and $b score as independent implementations say",
    { timeout: 120_000 },
    async (pair) => {
      const real = await loadBytes(join(shared, "data", pair.a));
      const fake = await loadBytes(join(shared, "data", pair.b));
      // The golden SSIM is torchmetrics', over mirrored borders; the protocol's valid windows are
      // tested below.
      const scores = [psnr(), ssim({ border: "reflect" }), lpips(network)].map((metric) => {
        metric.update(real, fake);
        return metric.values[0]!;
      });
      const expected = [pair.psnr, pair.ssim, pair.lpips_squeeze];
      for (const [i, score] of scores.entries()) {
        expect(Math.abs(score - expected[i]!), `${score} for ${expected[i]}`).toBeLessThan(1e-4);
      }
    },
  );
});

const noise = (shape: number[], seed: number): Tensor => {
  const count = shape.reduce((product, size) => product * size, 1);
  const values = Float32Array.from({ length: count }, (_, i) =>
    Math.round(127.5 + 127 * Math.sin((i + 1) * (seed + 12.9898))),
  );
  return Tensor.from(values, shape);
};

test("SSIM is torchmetrics' over mirrored windows, and over the valid ones only", () => {
  const path = new URL("../../test/fixtures/perceptual.json", import.meta.url);
  const expected = JSON.parse(readFileSync(path, "utf8")).ssim;
  const picture = (k: number): Tensor => {
    const values = Float32Array.from({ length: 3 * 48 * 40 }, (_, i) => Math.sin(0.7 * i + k));
    return Tensor.from(values, [1, 3, 48, 40]).add(1).mul(127.5).round();
  };
  for (const border of ["valid", "reflect"] as const) {
    const metric = ssim({ border });
    metric.update(picture(1), picture(1.5));
    expect(metric.values[0]).toBeCloseTo(expected[border], 6);
  }
});

describe("identical pictures", () => {
  test("score 100 dB and 1, from bytes as from floats", () => {
    const real = noise([2, 3, 16, 16], 1);
    for (const pixels of [real, real.to({ dtype: "uint8" })]) {
      const metrics = [psnr(), ssim()];
      for (const metric of metrics) metric.update(pixels, pixels);
      expect(metrics.map((metric) => metric.compute())).toEqual([{ PSNR: 100 }, { SSIM: 1 }]);
    }
  });
});

describe("a picture metric", () => {
  test("scores each frame of a clip as a picture, clip by clip", () => {
    const real = noise([2, 3, 2, 16, 16], 1);
    const fake = noise([2, 3, 2, 16, 16], 2);
    const whole = ssim();
    whole.update(real, fake);
    const each = ssim();
    for (const clip of [0, 1]) {
      for (const t of [0, 1]) {
        const frame = (x: Tensor) => x.narrow(0, clip, 1).select(2, t);
        each.update(frame(real), frame(fake));
      }
    }
    expect(whole.values).toEqual(each.values);
    expect(whole.compute().SSIM).toBeCloseTo(summarise(each.values).mean, 12);
  });

  test("does not wrap bytes round: 0 against 255 is 0 dB", () => {
    const metric = psnr();
    const black = Tensor.from(new Uint8Array(48), [1, 3, 4, 4]);
    metric.update(black, Tensor.from(new Uint8Array(48).fill(255), [1, 3, 4, 4]));
    expect(metric.compute().PSNR).toBeCloseTo(0, 10);
  });

  test("leaves no tensor behind", () => {
    const real = noise([1, 3, 16, 16], 1);
    const before = liveTensors();
    for (const metric of [psnr(), ssim()]) metric.update(real, real);
    expect(liveTensors()).toBe(before);
  });

  test("refuses unlike shapes, small pictures and an empty set", () => {
    const real = noise([1, 3, 8, 8], 1);
    expect(() => psnr().update(real, noise([1, 3, 8, 9], 1))).toThrow(/two batches of one shape/);
    expect(() => ssim().update(real, real)).toThrow(/at least 11 x 11/);
    expect(() => psnr().compute()).toThrow(/at least one picture/);
  });
});

test("the summary is the mean with its 95 % interval", () => {
  const { mean, halfWidth, count } = summarise([1, 2, 3, 4]);
  expect([mean, count]).toEqual([2.5, 4]);
  expect(halfWidth).toBeCloseTo(1.96 * Math.sqrt(5 / 3 / 4), 12);
});
