// Which pictures a report shows: the rule of gallery.ts, by hand.

import { expect, test } from "vitest";
import { pickPictures } from "./gallery.js";

test("the ends of the set are the worst and the best, the others are spread over it", () => {
  const psnrs = [5, 9, 1, 8, 3, 7, 2, 6];
  expect(pickPictures(psnrs, 4)).toEqual([
    { index: 6 }, // the other spread one is the worst: shown once
    { index: 2, note: "worst of 8" },
    { index: 1, note: "best of 8" },
  ]);
  expect(pickPictures(psnrs, 8).map(({ index }) => index)).toEqual([5, 7, 2, 6, 1, 3]);
});

test("a small set is shown whole, and none on request", () => {
  expect(pickPictures([4, 2], 12).map(({ index }) => index)).toEqual([0, 1]);
  expect(pickPictures([4, 2], 0)).toEqual([]);
});
