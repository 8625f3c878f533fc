// The engine in worker threads: each has its own tensors, all give the main thread's numbers (exact), and no end of a
// thread, orderly or forced, takes the process with it.
import { Worker } from "node:worker_threads";
import { describe, expect, test } from "vitest";
import { liveTensors, memory, ones } from "../src/torch/index.js";

interface Message {
  readonly result: number;
  /** What liveTensors() says in the worker. */
  readonly live: number;
}

const script = new URL("children/compute.ts", import.meta.url);
/** A worker inherits no TypeScript loader: it registers its own. */
const bootstrap = `import("tsx/esm/api").then((tsx) => (tsx.register(), import(${JSON.stringify(script)})))`;

function start(task: "compute" | "leave" | "spin", seed = 0) {
  const worker = new Worker(bootstrap, { eval: true, workerData: { task, seed } });
  const message = new Promise<Message>((resolve, reject) => {
    worker.once("message", resolve);
    worker.once("error", reject);
  });
  const exit = new Promise<number>((resolve) => worker.once("exit", resolve));
  return { worker, message, exit };
}

describe("worker threads", () => {
  test("compute side by side, each what it computes alone", async () => {
    const alone = await start("compute", 1).message;
    const both = [start("compute", 1), start("compute", 2)];
    const [same, other] = await Promise.all(both.map(({ message }) => message));
    expect(same).toEqual(alone);
    expect(other?.result).not.toBe(alone.result);
    expect(await Promise.all(both.map(({ exit }) => exit))).toEqual([0, 0]);
  });

  test("count only their own tensors", async () => {
    const before = liveTensors();
    const { message, exit } = start("leave");
    expect((await message).live).toBe(101 + 2);
    await exit;
    expect(liveTensors()).toBe(before);
  });

  test("free what they held when they end", async () => {
    const before = memory().allocatedBytes;
    for (let i = 0; i < 3; i++) {
      const { exit } = start("leave");
      expect(await exit).toBe(0);
    }
    expect(memory().allocatedBytes).toBe(before);
  });

  test("can be terminated in the midst of computing, again and again", async () => {
    for (let i = 0; i < 12; i++) {
      const { worker, message } = start("spin");
      await message;
      await new Promise((resolve) => setTimeout(resolve, i));
      expect(await worker.terminate()).toBe(1);
    }
    expect(ones([3]).sum().item()).toBe(3);
  });
});
