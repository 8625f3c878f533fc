// What a protocol does not have is refused before anything is loaded.
import { expect, test } from "vitest";
import { planOf } from "./plan.js";

test.each([
  [{ ssimBorder: "valid" }, "Expected ssim-border reflect for protocol vitok-paper"],
  [{ fidTap: "768" }, "Expected neither fid-input nor fid-tap for protocol vitok-paper"],
  [{ metrics: ["kid"] }, "Expected metrics that the author's evaluator has"],
] as const)("vitok-paper has nothing that its evaluator has not: %o", (more, message) => {
  const paper = { metrics: ["ssim"], protocol: "vitok-paper", ...more } as const;
  expect(() => planOf(paper)).toThrow(message);
});
