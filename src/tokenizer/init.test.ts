// Fresh weights against the table in init.ts: deviations within 5 % on large matrices, zeros and ones exact; and their
// number against cost.ts's formulas, exactly.

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { disposeModel, parameters } from "../nn/parameters.js";
import { memory, type Tensor } from "../torch/index.js";
import { defineConfig, parseVariant } from "./config.js";
import { costOf } from "./cost.js";
import { sincos } from "./sincos.js";
import { Tokenizer } from "./tokenizer.js";

const tower = { width: 192, depth: 1, heads: 3 };
const config = defineConfig({
  ...{ encoder: tower, decoder: { ...tower, width: 240 } },
  ...{ patchSize: 8, tubeletSize: 2, channels: 256, latentTokens: 16, maskable: true },
});
const weights = (seed: number) =>
  Object.fromEntries(parameters(Tokenizer.create(config, { seed })));
const deviation = (tensor: Tensor) => tensor.variance(undefined, false, 0).sqrt().item();

describe("a fresh tokenizer", () => {
  const drawn = weights(1);

  test("has norms of 1 and biases of 0", () => {
    for (const [name, tensor] of Object.entries(drawn)) {
      const value = /norm\d?\.weight$/.test(name) ? 1 : name.endsWith(".bias") ? 0 : undefined;
      if (value !== undefined) expect(tensor.eq(value).all().item(), name).toBe(1);
    }
  });

  test("has Xavier-uniform matrices, the tubelets' as [D, 3qpp]", () => {
    const matrices = Object.entries(drawn).filter(
      ([name, tensor]) => name.endsWith(".weight") && tensor.ndim > 1,
    );
    expect(matrices).toHaveLength(2 * 4 + 2 + 2); // four in each block, the bottleneck's and the tubelets'
    for (const [name, tensor] of matrices) {
      const [out, ...rest] = tensor.shape as [number, ...number[]];
      const bound = Math.sqrt(6 / (out + rest.reduce((a, b) => a * b)));
      expect(tensor.abs().amax().item(), name).toBeLessThanOrEqual(bound * (1 + 1e-6));
      const ratio = deviation(tensor) / (bound / Math.sqrt(3));
      expect(Math.abs(ratio - 1), name).toBeLessThan(0.05);
      expect(Math.abs(tensor.mean().item()) / bound, name).toBeLessThan(0.05);
    }
  });

  test("has normal mask tokens of deviation 0.02", () => {
    for (const name of ["decoder.mask_token", "decoder.patch_mask_token"])
      expect(Math.abs(deviation(drawn[name]!) / 0.02 - 1), name).toBeLessThan(0.15);
  });

  test("has 1D sin-cos latent tokens and positions", () => {
    for (const name of ["encoder.latent_tokens", "decoder.latent_position"]) {
      const tensor = drawn[name]!;
      expect(tensor.toArray()).toEqual(sincos(16, tensor.size(1)));
    }
    const expected = [0, 0, 1, 1, Math.sin(1), Math.sin(0.01), Math.cos(1), Math.cos(0.01)];
    expect(sincos(2, 4)).toEqual(Float32Array.from(expected));
  });

  test("is the same for the same seed, and another for another", () => {
    const [same, other] = [weights(1), weights(2)];
    for (const [name, tensor] of Object.entries(drawn))
      expect(same[name]!.toArray(), name).toEqual(tensor.toArray());
    expect(
      other["encoder.to_latent.weight"]!.sub(drawn["encoder.to_latent.weight"]!).any().item(),
    ).toBe(1);
  });

  test("learns everywhere", () => {
    expect(Object.values(drawn).every((tensor) => tensor.requiresGrad)).toBe(true);
  });
});

describe("the number of parameters is the formula's", () => {
  const counts = (tokenizer: Tokenizer) =>
    Object.fromEntries(
      (["encoder", "decoder"] as const).map((side) => {
        const all = [...parameters(tokenizer[side])].map(([, tensor]) => tensor.numel);
        return [side, all.reduce((sum, numel) => sum + numel, 0)];
      }),
    );
  const oneTubelet = ({ patchSize: p, tubeletSize: q }: typeof config) => ({
    ...{ frames: q, height: p, width: p },
  });

  test("for any config", () => {
    const small = (max: number) => fc.integer({ min: 1, max });
    const towers = fc
      .record({ heads: small(3), pairs: fc.integer({ min: 2, max: 8 }), depth: small(3) })
      .map(({ heads, pairs, depth }) => ({ width: 2 * heads * pairs, depth, heads }));
    const configs = fc
      .record({
        ...{ encoder: towers, decoder: towers, patchSize: small(8), tubeletSize: small(3) },
        ...{ channels: small(9), latentTokens: fc.nat(5), maskable: fc.boolean() },
      })
      .map(defineConfig);
    const before = memory().allocatedBytes;
    fc.assert(
      fc.property(configs, (any) => {
        const tokenizer = new Tokenizer(any);
        const { encoder, decoder } = costOf(any, oneTubelet(any)).params;
        expect(counts(tokenizer)).toEqual({ encoder, decoder });
        disposeModel(tokenizer);
      }),
      { numRuns: 100 },
    );
    expect(memory().allocatedBytes).toBe(before);
  });

  test.each(["Ti-Ti/8", "S-S/4x8"])("for %s", (variant) => {
    const any = parseVariant(variant);
    const tokenizer = new Tokenizer(any);
    const { encoder, decoder } = costOf(any, oneTubelet(any)).params;
    expect(counts(tokenizer)).toEqual({ encoder, decoder });
    tokenizer.dispose();
  });
});
