// How tests compare tensors: by the largest absolute difference, and a failure says where that is.
import { expect } from "vitest";
import type { Tensor } from "../src/torch/index.js";

/** Fails unless shapes agree and every element is within `atol` of the expected one; NaN is never close. */
export function expectClose(actual: Tensor, expected: Tensor, { atol = 0, name = "tensor" } = {}) {
  expect(actual.shape, `shape of ${name}`).toEqual(expected.shape);
  const [a, b] = [actual.toArray(), expected.toArray()];
  let worst = { difference: 0, index: -1 };
  for (let index = 0; index < a.length; index++) {
    const difference = Math.abs(Number(a[index]) - Number(b[index]));
    if (!(difference <= worst.difference)) worst = { difference, index };
  }
  const { difference, index } = worst;
  expect(
    difference,
    `${name}: element ${index} is ${a[index]}, expected ${b[index]}`,
  ).toBeLessThanOrEqual(atol);
}
