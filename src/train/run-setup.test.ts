// The engine's switches by a recipe. They are those of a GPU, so that only what is asked of the engine can be seen here.
import { expect, test, vi } from "vitest";
import { setFlag } from "../torch/index.js";
import { parseTrainConfig } from "./config.js";
import { setEngine } from "./run-setup.js";

vi.mock("../torch/index.js", async (original) => ({
  ...(await original<object>()),
  setFlag: vi.fn(),
}));

test.each([
  [undefined, true],
  [true, true],
  [false, false],
])("train.tf32 %s: float32 products on a GPU by TensorFloat-32 %s", (tf32, isOn) => {
  const train = tf32 === undefined ? {} : { tf32 };
  setEngine(
    parseTrainConfig({ model: { variant: "S-B/16" }, data: { path: "x", size: 256 }, train }),
    "cuda",
  );
  expect(vi.mocked(setFlag)).toHaveBeenCalledWith("tf32", isOn);
  vi.mocked(setFlag).mockClear();
});
