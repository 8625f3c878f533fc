// Which jobs are computed together, in which order, and what becomes of those that wait too long. Exact; no clock is measured:
// batches are held open until the test lets them go.
import { describe, expect, test } from "vitest";
import { Batcher } from "./batcher.js";

/** A batcher whose batches end when the test says so. */
function heldBatcher(options: { size?: number; waitMs?: number; limitMs?: number } = {}) {
  const batches: { key: string; jobs: readonly number[]; end: () => void; fail: () => void }[] = [];
  const batcher = new Batcher<number, string>({
    run: (key, jobs) =>
      new Promise((resolve, reject) => {
        const end = () => resolve(jobs.map((job) => `${key}${job}`));
        batches.push({ key, jobs, end, fail: () => reject(new Error("broken")) });
      }),
    sizeOf: () => options.size ?? 4,
    waitMs: options.waitMs ?? 0,
    limitMs: options.limitMs ?? 60_000,
  });
  return { batcher, batches };
}
const turn = () => new Promise((resolve) => setTimeout(resolve, 5));

describe("jobs", () => {
  test("gather while a batch is computed, up to its size, each with its own result", async () => {
    const { batcher, batches } = heldBatcher();
    const results = [1, 2, 3, 4, 5, 6].map((job) => batcher.submit("a", job));
    expect(batches.map(({ jobs }) => jobs)).toEqual([[1]]);
    batches[0]!.end();
    await turn();
    expect(batches[1]!.jobs).toEqual([2, 3, 4, 5]);
    batches[1]!.end();
    await turn();
    batches[2]!.end();
    expect(await Promise.all(results)).toEqual(["a1", "a2", "a3", "a4", "a5", "a6"]);
    expect(batcher.waiting).toBe(0);
  });

  test("of other keys are never mixed, and the oldest goes first", async () => {
    const { batcher, batches } = heldBatcher();
    const results = (["a", "b", "a", "c"] as const).map((key, job) => batcher.submit(key, job));
    for (let i = 0; i < 4; i++, await turn()) batches[i]?.end();
    expect(batches.map(({ key, jobs }) => [key, ...jobs])).toEqual([
      ["a", 0],
      ["b", 1],
      ["a", 2],
      ["c", 3],
    ]);
    expect(await Promise.all(results)).toEqual(["a0", "b1", "a2", "c3"]);
  });

  test("wait for company while nothing is computed, and not once a batch is full", async () => {
    const { batcher, batches } = heldBatcher({ size: 2, waitMs: 60_000 });
    const first = batcher.submit("a", 1);
    await turn();
    expect(batches).toEqual([]);
    const second = batcher.submit("a", 2);
    expect(batches[0]!.jobs).toEqual([1, 2]);
    batches[0]!.end();
    expect(await Promise.all([first, second])).toEqual(["a1", "a2"]);
  });

  test("fail with their batch, and the next batch is none the worse", async () => {
    const { batcher, batches } = heldBatcher();
    const first = batcher.submit("a", 1);
    const second = batcher.submit("a", 2);
    batches[0]!.fail();
    await expect(first).rejects.toThrow("broken");
    await turn();
    batches[1]!.end();
    expect(await second).toBe("a2");
  });

  test("that wait too long, or whose sender has gone, are dropped and never computed", async () => {
    const { batcher, batches } = heldBatcher({ limitMs: 20 });
    const held = batcher.submit("a", 1);
    const late = batcher.submit("a", 2);
    const sender = new AbortController();
    const gone = batcher.submit("a", 3, sender.signal);
    sender.abort();
    await Promise.all([
      expect(gone).rejects.toMatchObject({ status: 400 }),
      expect(late).rejects.toMatchObject({ status: 503, headers: { "retry-after": "5" } }),
      expect(held).rejects.toMatchObject({ status: 503 }),
    ]);
    batches[0]!.end();
    await turn();
    expect(batches).toHaveLength(1);
    expect(batcher.waiting).toBe(0);
  });
});
