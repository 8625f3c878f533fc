// Sizes found from numbers: by property, every product of sizes is found again; exact.
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { assignmentsOf, fitSize, type Size, sizeAt } from "./sizes.js";

const runs = assignmentsOf(
  { batch: 2, t: 2, h: 3, w: 4 },
  { batch: 3, t: 3, h: 5, w: 7 },
  { batch: 5, t: 4, h: 4, w: 6 },
);
const sizes = fc.record({
  offset: fc.integer({ min: -4, max: 2000 }),
  factor: fc.integer({ min: 1, max: 200 }),
  symbols: fc.subarray(["batch", "t", "h", "w"], { minLength: 1 }),
});

describe("a number that moves with the input", () => {
  test("is written as the product it is", () => {
    fc.assert(
      fc.property(sizes, (size: Size) => {
        const values = runs.map((assignment) => sizeAt(size, assignment));
        expect(fitSize(values, runs)).toEqual(size);
      }),
    );
  });

  test("is an error where it is no product: nothing is guessed", () => {
    const sums = runs.map(({ h, w }) => h! + w!);
    expect(() => fitSize(sums, runs)).toThrow(/Expected a number that is a product/);
    const squares = runs.map(({ h }) => h! * h!);
    expect(() => fitSize(squares, runs)).toThrow(/Expected a number that is a product/);
    const onlyTogether = runs.map((_, run) => (run === runs.length - 1 ? 9 : 8));
    expect(() => fitSize(onlyTogether, runs)).toThrow(/Expected a number that is a product/);
  });
});

test("a number that stays is itself, whole or not", () => {
  expect(
    fitSize(
      runs.map(() => 1e-6),
      runs,
    ),
  ).toEqual({ offset: 1e-6, factor: 0, symbols: [] });
});
