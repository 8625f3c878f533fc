// A process's place by torchrun's environment. What processes do together is test/data-parallel.test.ts.
import { expect, test } from "vitest";
import { placeOf } from "./data-parallel.js";

const meeting = { MASTER_ADDR: "node-0", MASTER_PORT: "29500" };
const env = { RANK: "1", WORLD_SIZE: "2", LOCAL_RANK: "1", ...meeting };

test.each([
  ["2", true],
  ["1", false],
  [undefined, false],
])("LOCAL_WORLD_SIZE %s of 2: all on this machine %s", (count, isLocal) => {
  const local = count === undefined ? {} : { LOCAL_WORLD_SIZE: count };
  expect(placeOf({ ...env, ...local })).toEqual({
    ...{ rank: 1, size: 2, localRank: 1, isLocal, host: "node-0", port: 29500, isServed: false },
  });
});

test("without WORLD_SIZE there is no place, and a half-set environment is an error", () => {
  expect(placeOf({})).toBeUndefined();
  expect(() => placeOf({ ...env, RANK: "2" })).toThrow("Expected RANK (a whole number, 0 to 1)");
  expect(() => placeOf({ ...env, MASTER_ADDR: "" })).toThrow("Expected MASTER_ADDR");
});
