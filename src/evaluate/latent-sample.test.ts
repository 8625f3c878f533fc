// Scores of latents that are drawn from the posterior: what decides a draw, and what is said of it. PSNR of the report's
// pictures is computed here by its definition, to 1e-5 dB.
import { afterAll, expect, test } from "vitest";
import { drawnSource } from "../data/drawn-source.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { compareScores } from "./compare.js";
import { type EvaluateOptions, evaluateReconstruction } from "./reconstruction.js";

const tokenizer = Tokenizer.create("Tiw48d1-Tiw48d1/1x8x4", { seed: 1 });
const set = drawnSource({ count: 10, size: 32, split: "val" });
const options: EvaluateOptions = { size: 32, batchSize: 4, metrics: ["psnr"] };
afterAll(() => tokenizer.dispose());

/** dB, range 255 */
function psnrOf(a: Uint8Array, b: Uint8Array): number {
  const errors = Array.from(a, (value, i) => (value - b[i]!) ** 2);
  return 10 * Math.log10((255 ** 2 * a.length) / errors.reduce((sum, error) => sum + error, 0));
}

test("draws latents by the seed and the place in the set alone, and the passport says so", async () => {
  const scores = (more: Partial<EvaluateOptions>) =>
    evaluateReconstruction(tokenizer, set, { ...options, ...more });
  const [mean, drawn, single, other] = [
    await scores({ latent: "mean" }),
    await scores({ latent: "sample", galleryCount: 3 }),
    await scores({ latent: "sample", batchSize: 3 }),
    await scores({ latent: "sample", seed: 7 }),
  ];
  expect(drawn.protocol.latent).toBe("sample, seed 0");
  expect(other.protocol.latent).toBe("sample, seed 7");
  for (const [i, { scores }] of drawn.perImage.entries()) {
    expect(scores.PSNR).toBeCloseTo(single.perImage[i]!.scores.PSNR!, 6);
    for (const unlike of [mean, other])
      expect(Math.abs(scores.PSNR! - unlike.perImage[i]!.scores.PSNR!)).toBeGreaterThan(1e-4);
  }
  for (const { file, psnr: shown, original, recon } of drawn.gallery) {
    expect(shown).toBe(drawn.perImage.find((image) => image.file === file)?.scores.PSNR);
    expect(psnrOf(original.bytes, recon.bytes)).toBeCloseTo(shown!, 5);
  }
  expect(() => compareScores(mean, drawn)).toThrow('latent: "mean" and "sample, seed 0"');
});

test("refuses to draw from a code that is a point", async () => {
  const point: AutoEncoder = {
    ...{ name: "a baseline", config: tokenizer.config, placement: tokenizer.placement },
    encode: (pixels) => {
      const { mean, grid, size } = tokenizer.encode(pixels);
      return { mean, grid, size };
    },
    decode: (...args) => tokenizer.decode(...args),
    dispose() {},
  };
  const drawn = { ...options, metrics: ["psnr"], latent: "sample" } as const;
  await expect(evaluateReconstruction(point, set, drawn)).rejects.toThrow(
    "Expected a model whose code is a distribution for latent sample, received a baseline.",
  );
});
