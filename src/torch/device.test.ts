// Memory of the host that the engine keeps after tensors are freed, by the resident size of the process: 256 MiB against
// what else moves in a process, allowed a quarter of that.
import { expect, test } from "vitest";
import { emptyCache, liveTensors, scope, type Tensor, zeros } from "./index.js";

const mebibyte = 2 ** 20;
const resident = () => process.memoryUsage.rss() / mebibyte;

test.runIf(process.platform === "linux")(
  "freed memory is kept for the next tensors, and goes back to the system when that is asked for",
  () => {
    const live = liveTensors();
    const before = resident();
    const small: Tensor[] = [];
    const large = Array.from({ length: 16 }, () => {
      const block = zeros([16 * mebibyte], { dtype: "uint8" });
      small.push(zeros([1000])); // between two blocks, as what lives on does in practice
      return block;
    });
    for (const block of large) block.dispose();
    expect(resident() - before).toBeGreaterThan(192);
    emptyCache("cpu");
    expect(resident() - before).toBeLessThan(64);
    for (const each of small) expect(scope(() => each.sum().item())).toBe(0);
    for (const each of small) each.dispose();
    expect(liveTensors()).toBe(live);
  },
);
