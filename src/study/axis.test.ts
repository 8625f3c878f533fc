// Ticks and axes of figures, by hand.
import { expect, test } from "vitest";
import { axisTicks, mappingOf, placeOn, ticksOf, valueAt } from "./axis.js";

test("ticks are round and few", () => {
  expect(ticksOf({ base: 2 }, [50, 70000])).toEqual([64, 256, 1024, 4096, 16384, 65536]);
  expect(ticksOf({ base: 10 }, [0.008, 50])).toEqual([0.01, 0.1, 1, 10]);
  expect(ticksOf({ base: 10 }, [0.4, 11])).toEqual([1, 3, 10]);
  expect(ticksOf({}, [0.5, 1])).toEqual(
    [0.5, 0.6, 0.7, 0.8, 0.9, 1].map((tick) => expect.closeTo(tick)),
  );
});

test("a narrow logarithmic axis has ticks, too", () => {
  const ticks = ticksOf({ base: 10 }, [0.11, 0.18]);
  expect(ticks.length).toBeGreaterThan(2);
  for (const tick of ticks) expect(tick > 0.1 && tick < 0.19).toBe(true);
});

test("an axis laid over another keeps its own round values", () => {
  const [ours, theirs] = [
    { label: "rFID-768", base: 10 },
    { label: "rFID", base: 10 },
  ] as const;
  const own = [0.03, 0.6].map((value) => placeOn(ours, value));
  const other = [0.0087, 44.8].map((value) => placeOn(theirs, value));
  const mapping = mappingOf(own, other);
  expect(mapping.to(other[0]!)).toBeCloseTo(own[0]!);
  expect(mapping.to(other[1]!)).toBeCloseTo(own[1]!);
  const { places, texts } = axisTicks(theirs, [own[0]!, own[1]!], mapping);
  expect(texts).toEqual(["0.01", "0.1", "1", "10"]);
  expect(valueAt(theirs, mapping.from(places[2]!))).toBeCloseTo(1);
});

test("numbers have as many digits as tell them apart", () => {
  const texts = (low: number, high: number) => axisTicks({ label: "PSNR" }, [low, high]).texts;
  expect(texts(11.19, 11.33)).toEqual(["11.2", "11.25", "11.3"]);
  expect(texts(19, 41)).toEqual(["20", "25", "30", "35", "40"]);
});
