// Collectives and the reducer between two processes over Gloo, against sums worked out by hand: exact, the numbers are small.
import { expect, test } from "vitest";
import { runChild } from "../../test/child.js";
import { runTogether } from "../../test/together.js";
import { freePort } from "../train/launch.js";
import { ProcessGroup, TorchError } from "./index.js";

test("two processes sum, share and gather; gradients are averaged while backward runs; a lost process is an error", async () => {
  const [first, second] = await runTogether("collectives", 2);
  expect(first!.stderr).toBe("");
  expect(second!.signal).toBe("SIGKILL"); // by itself, to be missed
  const [zero, one] = [first!, second!].map(({ stdout }) => JSON.parse(stdout.split("\n")[0]!));
  const both = {
    ...{ sum: [3, 4], avg: [0.5, 2], max: [1, 0], broadcast: [1, 7] },
    ...{ allGather: [0, 7, 1, 7], shape: [2, 2], all: [[0.5, 2], [2]] },
  };
  expect(zero.collectives).toEqual({ ...both, reduceScatter: [2, 4], averageScatter: [2, 4] });
  expect(one.collectives).toEqual({ ...both, reduceScatter: [6, 9], averageScatter: [6, 9] });
  expect(zero.atOnce).toEqual([[10], [1]]);

  // Means over ranks 0 and 1: dw = 1.5, dv = 2 v rank / 2.
  const once = { w: [1.5, 1.5, 1.5], v: [1, 2, 3, 4], unused: [0] };
  const twice = { w: [3, 3, 3], v: [2, 4, 6, 8], unused: [0] };
  for (const { reduced, live } of [zero, one]) {
    expect(reduced.once).toEqual([once, once, once]);
    expect(reduced.accumulated).toEqual([twice, twice, twice]);
    const again = { ...once, v: twice.v };
    expect(reduced.segments).toEqual([once, again, again]);
    expect(live).toBe(0);
  }
  const shares = (a: number[], b: number[]) => [a, b].map((share) => share);
  expect(zero.reduced.scattered).toEqual(Array(3).fill(shares([1, 2], [1.5, 1.5])));
  expect(one.reduced.scattered).toEqual(Array(3).fill(shares([3, 4], [1.5, 0])));

  const { lost } = JSON.parse(first!.stdout.split("\n")[1]!);
  expect(lost).toMatch(/Connection (closed|reset) by peer/);
});

test("a process that waits in vain gives up in time, with an error", async () => {
  const meet = async () =>
    new ProcessGroup({
      ...{ rank: 0, size: 2, host: "127.0.0.1", port: await freePort() },
      ...{ interface: "127.0.0.1", timeoutMs: 300 },
    });
  await expect(meet()).rejects.toThrow(TorchError);
});

test("a group of one is the identity, and impossible places are refused", async () => {
  const options = { host: "127.0.0.1", interface: "127.0.0.1" };
  const place = { ...options, port: await freePort() };
  expect(() => new ProcessGroup({ ...place, rank: 2, size: 2 })).toThrow("rank 2 of 2 processes");
  expect(() => new ProcessGroup({ ...place, rank: 0, size: 1, port: 0 })).toThrow("1 to 65535");
  expect(runChild("group-of-one", [String(place.port)])).toMatchObject({ status: 0, stderr: "" });
});
