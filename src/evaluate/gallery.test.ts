// Which pictures a report shows: the rule of gallery.ts, by hand.

import { expect, test } from "vitest";
import { pickEvenly, pickOfClasses, pickPictures } from "./gallery.js";

test("the ends of the set are the worst and the best, the others are spread over it", () => {
  const psnrs = [5, 9, 1, 8, 3, 7, 2, 6];
  expect(pickPictures(psnrs, 4)).toEqual([
    { index: 6 }, // the other spread one is the worst: shown once
    { index: 2, group: "worst", note: "worst of 8" },
    { index: 1, group: "best", note: "best of 8" },
  ]);
  expect(pickPictures(psnrs, 8).map(({ index }) => index)).toEqual([5, 7, 2, 6, 1, 3]);
});

test("a small set is shown whole, and none on request", () => {
  expect(pickPictures([4, 2], 12).map(({ index }) => index)).toEqual([0, 1]);
  expect(pickPictures([4, 2], 0)).toEqual([]);
});

test("a class is shown by its middle file, the classes of the lowest and of the highest means", () => {
  const psnrs = [10, 30, 20, 5, 6, 40, 1];
  const labels = [0, 0, 0, 1, 1, 2, -1];
  const indices = (count: number) => pickOfClasses(psnrs, labels, count).map(({ index }) => index);
  expect(indices(12)).toEqual([3, 2, 5]);
  expect(indices(2)).toEqual([3, 5]);
  expect(indices(0)).toEqual([]);
  expect(pickOfClasses([1, 2], [0, 0], 4)).toEqual([]);
});

test("pictures to compare models by depend on the set alone", () => {
  expect(pickEvenly(8, 2)).toEqual([
    { index: 2, group: "even" },
    { index: 6, group: "even" },
  ]);
  expect(pickEvenly(2, 8).map(({ index }) => index)).toEqual([0, 1]);
  expect(pickEvenly(5, 0)).toEqual([]);
});
