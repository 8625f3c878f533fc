// Random numbers against PyTorch 2.13's for the same seeds (scripts/make-nn-fixtures.py): uniform exact, normal within
// 1e-6 (libtorch's vector code differs between machines); states and repeats are exact.
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { readSafetensors } from "../nn/safetensors.js";
import { Generator, rand, randn, scope } from "./index.js";

const known = readSafetensors(
  fileURLToPath(new URL("../../test/fixtures/nn/randoms.safetensors", import.meta.url)),
);

describe("a generator", () => {
  test.each([0, 42, 2 ** 40 + 5])("of seed %i draws PyTorch's numbers", (seed) => {
    const generator = new Generator(seed);
    const drawn = {
      few: randn([5], { generator }),
      many: randn([3, 7], { generator }),
      uniform: rand([4], { generator }),
      double: randn([3], { generator, dtype: "float64" }),
    };
    for (const [name, numbers] of Object.entries(drawn)) {
      const atol = name === "uniform" ? 0 : 1e-6;
      expectClose(numbers, known[`seed${seed}.${name}`]!, { atol, name });
    }
  });

  test("goes on exactly from a saved state, whatever was drawn before and after", () => {
    const seeds = fc.bigInt({ min: 0n, max: 2n ** 64n - 1n });
    const counts = fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 5 });
    fc.assert(
      fc.property(seeds, counts, fc.integer({ min: 1, max: 40 }), (seed, before, count) => {
        scope(() => {
          const generator = new Generator(seed);
          for (const n of before) randn([n], { generator });
          const state = generator.getState();
          const first = randn([count], { generator }).toArray();
          const other = new Generator(1);
          other.setState(state);
          expect(randn([count], { generator: other }).toArray()).toEqual(first);
          expect(generator.getState()).toEqual(other.getState());
        });
      }),
      { numRuns: 30 },
    );
  });

  test("starts over from a seed, and the same seed as a bigint is the same", () => {
    const generator = new Generator(7);
    const first = rand([8], { generator }).toArray();
    expect(rand([8], { generator }).toArray()).not.toEqual(first);
    expect(rand([8], { generator: generator.seed(7) }).toArray()).toEqual(first);
    expect(rand([8], { generator: new Generator(7n) }).toArray()).toEqual(first);
    expect(rand([8], { generator: new Generator(8) }).toArray()).not.toEqual(first);
  });

  test("is not disturbed by another", () => {
    const alone = rand([8], { generator: new Generator(3) }).toArray();
    const [one, two] = [new Generator(3), new Generator(4)];
    const half = rand([4], { generator: one }).toArray();
    rand([100], { generator: two });
    const rest = rand([4], { generator: one }).toArray();
    expect([...half, ...rest]).toEqual([...alone]);
  });
});
