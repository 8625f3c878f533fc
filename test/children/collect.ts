// Tensors that no scope owns and nobody disposes of: the garbage collector must find them. Run with --expose-gc.
import assert from "node:assert";
import { keep, liveTensors, memory, ones, scope } from "../../src/torch/index.js";

const collect = globalThis.gc!;
/** Finalisers run in a task of their own. */
const settle = async () => {
  for (let round = 0; round < 5; round++) {
    collect();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
};

const start = memory().allocatedBytes;
for (let i = 0; i < 1000; i++) ones([100]);
for (let i = 0; i < 100; i++) scope(() => ones([100])); // returned to nobody
for (let i = 0; i < 100; i++) keep(ones([100])); // kept and forgotten
await settle();
assert.equal(liveTensors(), 0);
assert.equal(memory().allocatedBytes, start);

const held = ones([100]);
await settle();
assert.equal(held.sum().item(), 100);
assert.equal(liveTensors(), 2);

// Sixteen GiB in all, told to the collector as they are made: it runs unasked, so few live at any time.
let most = 0;
for (let i = 0; i < 1024; i++) {
  ones([2 ** 22]);
  most = Math.max(most, memory().allocatedBytes);
  if (i % 16 === 0) await new Promise(setImmediate);
}
assert.ok(most < 4 * 2 ** 30, `${most} bytes at the peak`);
