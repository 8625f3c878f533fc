// The tokenizer as a whole, on tiny random models: shapes for any input, kept tokens, precision, files. What it computes
// is checked against the reference in golden.test.ts. Equalities are exact unless a tolerance is given.
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { parameters } from "../nn/parameters.js";
import { cat, Generator, liveTensors, memory, rand, scope, type Tensor } from "../torch/index.js";
import { defineConfig, type TokenizerConfig } from "./config.js";
import { Tokenizer } from "./tokenizer.js";

const scratch = mkdtempSync(join(tmpdir(), "vitok-tokenizer-"));
afterAll(() => rmSync(scratch, { recursive: true }));

const tower = { width: 24, depth: 1, heads: 2 };
const plain = {
  ...{ encoder: tower, decoder: tower, patchSize: 4, tubeletSize: 1 },
  ...{ channels: 3, latentTokens: 0, maskable: false },
};
const create = (changes: Partial<TokenizerConfig> = {}) =>
  Tokenizer.create(defineConfig({ ...plain, ...changes }), { seed: 3 });
/** Pixels in [-1, 1]. */
const pixelsOf = (shape: readonly number[], seed = 0) =>
  rand(shape, { generator: new Generator(seed) })
    .mul(2)
    .sub(1);

describe("any input through any model", () => {
  const count = (max: number) => fc.integer({ min: 1, max });
  const towers = fc
    .record({ heads: count(2), half: fc.constantFrom(3, 6), depth: count(2) })
    .map(({ heads, half, depth }) => ({ width: 2 * heads * half, depth, heads }));
  const configs = fc
    .record({
      ...{ encoder: towers, decoder: towers, patchSize: count(5), tubeletSize: count(3) },
      ...{ channels: count(4), latentTokens: fc.constantFrom(0, 1, 4), maskable: fc.boolean() },
    })
    .map(defineConfig);
  const inputs = fc.record({
    batch: count(2),
    frames: count(4),
    height: count(11),
    width: count(11),
  });

  test("comes back in its own size, through a code of the promised length", () => {
    const before = liveTensors();
    fc.assert(
      fc.property(configs, inputs, (config, { batch, frames, height, width }) => {
        const tokenizer = Tokenizer.create(config);
        scope(() => {
          const pixels = pixelsOf([batch, 3, frames, height, width]);
          const posterior = tokenizer.encode(pixels);
          const { patchSize: p, tubeletSize: q, latentTokens, channels } = config;
          const grid = {
            t: Math.ceil(frames / q),
            h: Math.ceil(height / p),
            w: Math.ceil(width / p),
          };
          const length = latentTokens || grid.t * grid.h * grid.w;
          expect(posterior).toMatchObject({ grid, size: { frames, height, width } });
          expect(posterior.mean.shape).toEqual([batch, length, channels]);
          expect(posterior.logvar.shape).toEqual([batch, length, channels]);

          const { size } = posterior;
          const whole = tokenizer.decode(posterior.mode(), posterior.grid);
          expect(whole.shape).toEqual([batch, 3, grid.t * q, grid.h * p, grid.w * p]);
          const cropped = tokenizer.decode(posterior.mode(), posterior.grid, { size });
          expect(cropped.shape).toEqual(pixels.shape);
          expect(cropped.isFinite().all().item()).toBe(1);
          const recon = tokenizer.reconstruct(pixels);
          expectClose(recon, cropped.clamp(-1, 1), { atol: 1e-4 }); // inference has its own matrix product
        });
        tokenizer.dispose();
      }),
      { numRuns: 60 },
    );
    expect(liveTensors()).toBe(before);
  });

  test("is padded by repeating its last frame, row and column", () => {
    const tokenizer = create({ tubeletSize: 2 });
    const pixels = pixelsOf([1, 3, 3, 6, 7]);
    const edge = (x: Tensor, dim: number, times: number) =>
      cat([x, ...Array.from({ length: times }, () => x.narrow(dim, x.size(dim) - 1, 1))], dim);
    const padded = edge(edge(edge(pixels, 2, 1), 3, 2), 4, 1);
    expect(tokenizer.encode(pixels).mean.toArray()).toEqual(
      tokenizer.encode(padded).mean.toArray(),
    );
  });

  test("may be pictures without a time axis, which come back without one", () => {
    const tokenizer = create();
    const pictures = pixelsOf([2, 3, 8, 8]);
    expect(tokenizer.reconstruct(pictures).shape).toEqual([2, 3, 8, 8]);
    expect(tokenizer.encode(pictures).mean.toArray()).toEqual(
      tokenizer.encode(pictures.unsqueeze(2)).mean.toArray(),
    );
  });

  test("makes the same of a sample whatever its batch, within 1e-5", () => {
    const tokenizer = create({ tubeletSize: 2 });
    const batch = pixelsOf([3, 3, 4, 8, 8]);
    const together = tokenizer.reconstruct(batch);
    for (let i = 0; i < 3; i++)
      expectClose(tokenizer.reconstruct(batch.narrow(0, i, 1)), together.narrow(0, i, 1), {
        atol: 1e-5,
      });
  });
});

describe("what does not fit is refused", () => {
  const tokenizer = create();
  const grid = { t: 1, h: 2, w: 2 };

  test.each<[string, () => unknown, RegExp]>([
    ["pixels of one colour", () => tokenizer.encode(pixelsOf([1, 1, 8, 8])), /\[B, 3, T, H, W\]/],
    [
      "pixels without a batch",
      () => tokenizer.encode(pixelsOf([3, 8, 8])),
      /received float32 \[3, 8, 8\]/,
    ],
    ["pixels of no size", () => tokenizer.encode(pixelsOf([1, 3, 0, 8])), /multiples of 4/],
    [
      "a latent of another length",
      () => tokenizer.decode(pixelsOf([1, 5, 3]), grid),
      /\[B, 4, 3\]/,
    ],
    [
      "a latent of other channels",
      () => tokenizer.decode(pixelsOf([1, 4, 2]), grid),
      /\[B, 4, 3\]/,
    ],
    [
      "kept tokens without a mask token",
      () => tokenizer.decode(pixelsOf([1, 4, 3]), grid, { keep: 2 }),
      /Masked ViTok/,
    ],
    [
      "video where heads have no pair for time",
      () => create({ encoder: { width: 8, depth: 1, heads: 2 } }).encode(pixelsOf([1, 3, 2, 8, 8])),
      /pair for time/,
    ],
  ])("%s", (_, run, message) => expect(run).toThrow(message));
});

describe("Masked ViTok", () => {
  test.each([0, 6])(
    "with %i latent tokens keeps any number, one for all or one each",
    (latentTokens) => {
      const tokenizer = create({ maskable: true, latentTokens });
      const { mean, grid } = tokenizer.encode(pixelsOf([3, 3, 8, 12]));
      const length = mean.size(1);
      const decode = (latent: Tensor, keep?: number | number[]) =>
        tokenizer.decode(latent, grid, { keep });

      expect(decode(mean, length).toArray()).toEqual(decode(mean).toArray());
      const counts = [1, 3, length];
      const each = decode(mean, counts);
      counts.forEach((keep, sample) => {
        const alone = decode(mean.narrow(0, sample, 1), keep);
        expectClose(each.narrow(0, sample, 1), alone, { atol: 1e-5, name: `sample ${sample}` });
      });
      expect(decode(mean, [2, 2, 2]).toArray()).toEqual(decode(mean, 2).toArray());
      expect(decode(mean, 1).sub(decode(mean)).abs().amax().item()).toBeGreaterThan(1e-3);
    },
  );

  test("does not look at what it does not keep", () => {
    const tokenizer = create({ maskable: true });
    const { mean, grid } = tokenizer.encode(pixelsOf([1, 3, 8, 8]));
    const other = cat([mean.narrow(1, 0, 2), mean.narrow(1, 2, 2).mul(Number.NaN)], 1);
    const recon = tokenizer.decode(other, grid, { keep: 2 });
    expect(recon.toArray()).toEqual(tokenizer.decode(mean, grid, { keep: 2 }).toArray());
  });

  test.each([[0], [5], [1.5], [Number.NaN], [[1]], [[1, 9]], [[1, 2, 3]]])(
    "refuses to keep %j of 4 in a batch of 2",
    (keep) => {
      const tokenizer = create({ maskable: true });
      const latent = pixelsOf([2, 4, 3]);
      const decode = () => tokenizer.decode(latent, { t: 1, h: 2, w: 2 }, { keep });
      expect(decode).toThrow(/Expected keep in 1 to 4, one number or 2/);
    },
  );
});

describe("precision", () => {
  test("bfloat16 weights give float32 outputs within 3 % of float32's", async () => {
    const folder = join(scratch, "precision");
    mkdirSync(folder);
    create({ tubeletSize: 2, latentTokens: 4, maskable: true }).save(folder);
    const [full, half] = await Promise.all([
      Tokenizer.load(folder),
      Tokenizer.load(folder, { dtype: "bfloat16" }),
    ]);
    const pixels = pixelsOf([2, 3, 4, 8, 8]);
    const expected = full.encode(pixels);
    const actual = half.encode(pixels);
    const apart = (a: Tensor, b: Tensor) =>
      a.sub(b).square().mean().sqrt().item() / b.square().mean().sqrt().item();
    expect(actual.mean.dtype).toBe("float32");
    expect(apart(actual.mean, expected.mean)).toBeLessThan(3e-2);
    const latent = expected.mode();
    const recon = half.decode(latent, expected.grid, { keep: [1, 4] });
    expect(recon.dtype).toBe("float32");
    expect(apart(recon, full.decode(latent, expected.grid, { keep: [1, 4] }))).toBeLessThan(3e-2);
  });
});

describe("a model folder", () => {
  const saved = (name: string, changes: Partial<TokenizerConfig> = {}) => {
    const folder = join(scratch, name);
    mkdirSync(folder);
    const tokenizer = create(changes);
    tokenizer.save(folder, { provenance: "a test" });
    return { folder, tokenizer };
  };

  test("comes back bit by bit, with its config and further keys", async () => {
    const { folder, tokenizer } = saved("whole", { latentTokens: 3, maskable: true });
    const loaded = await Tokenizer.load(folder);
    expect(loaded.config).toEqual(tokenizer.config);
    const weights = Object.fromEntries(parameters(tokenizer));
    for (const [name, tensor] of parameters(loaded))
      expect(tensor.toBytes(), name).toEqual(weights[name]!.toBytes());
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    expect(config).toMatchObject({ provenance: "a test", latent_tokens: 3, patch_size: 4 });
  });

  test("that was loaded and disposed of leaves no tensor", async () => {
    const { folder } = saved("counted");
    const [live, bytes] = [liveTensors(), memory().allocatedBytes];
    const loaded = await Tokenizer.load(folder, { dtype: "bfloat16" });
    scope(() =>
      loaded
        .reconstruct(pixelsOf([1, 3, 8, 8]))
        .mean()
        .item(),
    );
    loaded.dispose();
    expect(liveTensors()).toBe(live);
    expect(memory().allocatedBytes).toBe(bytes);
  });

  test("that is not there, or lacks a file, is named", async () => {
    const missing = join(scratch, "nowhere");
    await expect(Tokenizer.load(missing)).rejects.toThrow(
      /nowhere.*config\.json and model\.safetensors/s,
    );
    const { folder } = saved("without-weights");
    rmSync(join(folder, "model.safetensors"));
    await expect(Tokenizer.load(folder)).rejects.toThrow(/without-weights.*model\.safetensors/);
  });

  test("with a config that is none is named", async () => {
    const { folder } = saved("bad-config");
    writeFileSync(join(folder, "config.json"), "{");
    await expect(Tokenizer.load(folder)).rejects.toThrow(/bad-config/);
    writeFileSync(join(folder, "config.json"), '{"variant":"XXL-B/16"}');
    await expect(Tokenizer.load(folder)).rejects.toThrow(/received "XXL-B\/16"/);
  });

  test("with truncated weights is named, and nothing leaks", async () => {
    const { folder } = saved("truncated");
    const path = join(folder, "model.safetensors");
    writeFileSync(path, readFileSync(path).subarray(0, -5));
    const live = liveTensors();
    await expect(Tokenizer.load(folder)).rejects.toThrow(/model\.safetensors/);
    expect(liveTensors()).toBe(live);
  });

  test("with weights of another model says which do not fit", async () => {
    const { folder } = saved("other-shapes");
    const config = JSON.parse(readFileSync(join(folder, "config.json"), "utf8"));
    writeFileSync(
      join(folder, "config.json"),
      JSON.stringify({ ...config, channels: 5, maskable: true }),
    );
    const load = Tokenizer.load(folder);
    await expect(load).rejects.toThrow(/missing: decoder\.mask_token/);
    await expect(load).rejects.toThrow(
      /encoder\.to_latent\.weight: expected \[10,24\], received \[6,24\]/,
    );
  });
});
