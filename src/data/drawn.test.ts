// Drawn pictures: the same bytes everywhere (a SHA-256 recorded here), and sets that do not overlap.
import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { drawnLabel, drawPicture } from "./drawn.js";
import { shapeKinds } from "./drawn-shapes.js";
import { drawnSource } from "./drawn-source.js";
import { openSource } from "./source.js";

const digest = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

it("draws the same bytes on every machine", () => {
  const hash = createHash("sha256");
  for (let index = 0; index < 40; index++) hash.update(drawPicture([0, 0, index], 64).bytes);
  expect(hash.digest("hex")).toMatchInlineSnapshot(
    `"0b224ca27676df13972efff34a3560b20390bfb4d8309abe651549f8d753039d"`,
  );
});

it("draws any size, and the same scene at each", () => {
  const mean = (bytes: Uint8Array) => bytes.reduce((sum, value) => sum + value, 0) / bytes.length;
  const [small, large] = [drawPicture([5], 32), drawPicture([5], 96)];
  expect(large).toMatchObject({ frames: 1, height: 96, width: 96 });
  expect(Math.abs(mean(small.bytes) - mean(large.bytes))).toBeLessThan(4);
});

it("never draws the same picture twice, within a set or across the two", async () => {
  const seen = new Set<string>();
  for (const split of ["train", "val"] as const) {
    const source = drawnSource({ split, count: 100, size: 16 });
    for (let index = 0; index < source.length; index++) {
      seen.add(digest((await source.load(index)).bytes));
    }
  }
  expect(seen.size).toBe(200);
});

it("uses every class, each about as often", () => {
  const counts = shapeKinds.map(() => 0);
  for (let index = 0; index < 800; index++) counts[drawnLabel([0, 0, index])]!++;
  expect(Math.min(...counts)).toBeGreaterThan(60);
  expect(Math.max(...counts)).toBeLessThan(140);
});

it("opens by its name, with count, size and seed", async () => {
  const source = await openSource("drawn:val?count=3&size=24&seed=7");
  expect(source).toMatchObject({ name: "drawn-val", length: 3, classes: shapeKinds });
  expect(await source.load(2)).toEqual(drawPicture([7, 1, 2], 24));
  expect(source.label(2)).toBe(drawnLabel([7, 1, 2]));
  expect(await openSource("drawn")).toMatchObject({ name: "drawn-train", length: 2048 });
});

it.each(["drawn:test", "drawn:train?cuont=3", "drawn:train?count=0", "drawn:val?size=x"])(
  "refuses %s",
  async (spec) => {
    await expect(openSource(spec)).rejects.toThrow(/^Expected/);
  },
);
