// The rotary embedding: against complex multiplication in PyTorch (scripts/make-nn-fixtures.py, atol 1e-6), and by what
// makes it one (float32, 1e-4): it keeps lengths, and a product of two tokens depends on their distance alone.
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { expectClose } from "../../test/close.js";
import { Generator, liveTensors, randn, scope, type Tensor } from "../torch/index.js";
import { ropePairs } from "../tower.js";
import { type Grid, RopeTables, ropeAngles, rotate } from "./rope.js";
import { readSafetensors } from "./safetensors.js";

const known = readSafetensors(
  fileURLToPath(new URL("../../test/fixtures/nn/layers.safetensors", import.meta.url)),
);
const size = fc.integer({ min: 1, max: 4 });
const grids = fc.record({ t: size, h: size, w: size });
const headDims = fc.constantFrom(12, 32, 64, 72);
const seeds = fc.nat();

/** x [1, 1, N, headDim], rotated by the tokens' positions, after `check` in a scope. */
function withRotated(
  { grid, headDim, seed }: { grid: Grid; headDim: number; seed: number },
  check: (rotated: Tensor, x: Tensor) => void,
): void {
  scope(() => {
    const tables = new RopeTables(headDim);
    const shape = [1, 1, grid.t * grid.h * grid.w, headDim];
    const x = randn(shape, { generator: new Generator(seed) });
    check(rotate(x, tables.at(grid, 0, "cpu")), x);
    tables.clear();
  });
}

describe("rotate", () => {
  test("turns each pair as a complex number", () => {
    const rope = new RopeTables(64).at({ t: 1, h: 2, w: 3 }, 0, "cpu");
    expectClose(rotate(known["rope.x"]!, rope), known["rope.y"]!, { atol: 1e-6 });
  });

  test("keeps the length of every pair", () => {
    fc.assert(
      fc.property(grids, headDims, seeds, (grid, headDim, seed) =>
        withRotated({ grid, headDim, seed }, (rotated, x) => {
          const lengths = (y: Tensor) => {
            const [a, b] = y.chunk(2, -1) as [Tensor, Tensor];
            return a.square().add(b.square());
          };
          expectClose(lengths(rotated), lengths(x), { atol: 1e-4 });
        }),
      ),
      { numRuns: 40 },
    );
  });

  test("makes the product of a query and a key depend on their distance alone", () => {
    fc.assert(
      fc.property(grids, headDims, seeds, (grid, headDim, seed) => {
        // The same two vectors at every position: products at equal distances must agree.
        scope(() => {
          const tables = new RopeTables(headDim);
          const generator = new Generator(seed);
          const tokens = grid.t * grid.h * grid.w;
          const [q, k] = [0, 1].map(() =>
            rotate(
              randn([1, 1, 1, headDim], { generator }).expand([1, 1, tokens, headDim]),
              tables.at(grid, 0, "cpu"),
            ),
          ) as [Tensor, Tensor];
          const products = q.matmul(k.transpose(2, 3)).toArray();
          const byDistance = new Map<string, number>();
          for (let i = 0; i < tokens * tokens; i++) {
            const distance = distanceOf(grid, Math.floor(i / tokens), i % tokens);
            const product = Number(products[i]);
            const first = byDistance.get(distance) ?? product;
            byDistance.set(distance, first);
            expect(Math.abs(product - first)).toBeLessThan(1e-4);
          }
          tables.clear();
        });
      }),
      { numRuns: 25 },
    );
  });

  test("leaves the first position and the unrotated tokens as they are", () => {
    const tables = new RopeTables(12);
    const x = randn([2, 3, 6, 12], { generator: new Generator(0) });
    const rotated = rotate(x, tables.at({ t: 1, h: 1, w: 4 }, 2, "cpu"));
    for (const token of [0, 4, 5])
      expectClose(rotated.select(2, token), x.select(2, token), { name: `token ${token}` });
    expect(rotated.sub(x).abs().amax().item()).toBeGreaterThan(0.1);
    tables.clear();
  });

  test("computes in float32 and returns the input's dtype", () => {
    const rope = new RopeTables(12).at({ t: 1, h: 2, w: 2 }, 0, "cpu");
    const x = randn([1, 2, 4, 12], { generator: new Generator(0) }).to({ dtype: "bfloat16" });
    const exact = rotate(x.to({ dtype: "float32" }), rope).to({ dtype: "bfloat16" });
    expect(rotate(x, rope).dtype).toBe("bfloat16");
    expect(rotate(x, rope).toArray()).toEqual(exact.toArray());
  });
});

describe("the angles", () => {
  test.each([4, 6, 12, 64, 72, 128])(
    "of a head of %i follow the shares of its pairs",
    (headDim) => {
      const { time, row, column } = ropePairs(headDim);
      const grid = { t: 2, h: 3, w: 4 };
      const angles = ropeAngles(grid, headDim).toArray();
      const pairs = headDim / 2;
      const last = angles.subarray(-pairs); // the token at (1, 2, 3)
      expect(angles).toHaveLength(24 * pairs);
      // Each axis starts with frequency 1: the angle is the position itself.
      if (time) expect(last[0]).toBe(1);
      expect(last[time]).toBe(2);
      expect(last[time + row]).toBe(3);
      expect(time + row + column).toBe(pairs);
    },
  );
});

test("tables are remembered by grid, and freed with the rest when they are too many", () => {
  const before = liveTensors();
  const tables = new RopeTables(12, 2);
  const first = tables.at({ t: 1, h: 1, w: 1 }, 0, "cpu");
  expect(tables.at({ t: 1, h: 1, w: 1 }, 0, "cpu")).toBe(first);
  for (let w = 2; w < 7; w++) tables.at({ t: 1, h: 1, w }, 0, "cpu");
  expect(liveTensors() - before).toBeLessThanOrEqual(4);
  expect(first.cos.isDisposed).toBe(true);
  tables.clear();
  expect(liveTensors()).toBe(before);
});

/** What separates two tokens, as a key. */
function distanceOf({ h, w }: Grid, a: number, b: number): string {
  const position = (i: number) => [Math.floor(i / (h * w)), Math.floor(i / w) % h, i % w] as const;
  const [from, to] = [position(a), position(b)];
  return from.map((value, axis) => value - to[axis]!).join();
}
