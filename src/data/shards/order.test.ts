// The order of an epoch over shards: a permutation, bounded in what it mixes, alike for any number of processes. By
// properties, exact; how well it mixes is checked at a fixed seed.
import fc from "fast-check";
import { expect, it } from "vitest";
import { laneLimit, shardOrder, startsOf } from "./order.js";

const request = { seed: 1, epoch: 0, batchSize: 64, shuffleBuffer: 640 };

it("visits every sample once in each epoch, whatever the shards and the buffer", () => {
  const lengths = fc.array(fc.nat(40), { minLength: 1, maxLength: 40 });
  const sizes = fc.record({
    seed: fc.nat(),
    epoch: fc.nat(5),
    batchSize: fc.integer({ min: 1, max: 40 }),
    shuffleBuffer: fc.integer({ min: 1, max: 400 }),
  });
  fc.assert(
    fc.property(lengths, sizes, (lengths, sizes) => {
      const total = lengths.reduce((sum, length) => sum + length, 0);
      const order = shardOrder(lengths, sizes);
      expect([...order].sort((a, b) => a - b)).toEqual([...Array(total).keys()]);
      expect(shardOrder(lengths, sizes)).toEqual(order);
    }),
  );
});

it("is another order for another epoch or seed, with or without a bound", () => {
  const lengths = Array(40).fill(100);
  for (const shuffleBuffer of [640, 4000]) {
    const orders = [request, { ...request, epoch: 1 }, { ...request, seed: 2 }];
    const seen = orders.map((of) => shardOrder(lengths, { ...of, shuffleBuffer }).join());
    expect(new Set(seen).size).toBe(3);
  }
});

it("lets each part of a batch read few shards at a time, and the parts together all of them", () => {
  const lengths = Array(64).fill(100);
  const starts = startsOf(lengths);
  const order = shardOrder(lengths, request);
  const shardOf = (place: number) => starts.findLastIndex((start) => start <= place);
  const { batchSize } = request;
  const processes = 16;
  const perProcess = Array.from({ length: processes }, () => new Set<number>());
  for (let start = 0; start < order.length; start += batchSize) {
    for (let rank = 0; rank < processes; rank++) {
      const share = order.subarray(
        start + (batchSize / processes) * rank,
        start + (batchSize / processes) * (rank + 1),
      );
      for (const place of share) perProcess[rank]!.add(shardOf(place));
    }
  }
  expect(perProcess.map(({ size }) => size)).toEqual(Array(processes).fill(4)); // 64 shards among 16, none shared
  const ahead = Math.max(...[...order].map((place, at) => windowsApart(place, at)));
  expect(ahead).toBeLessThanOrEqual(1);

  /** How many windows of its lane lie between a sample's listed and its drawn place in the lane, at most. */
  function windowsApart(place: number, at: number): number {
    const window = request.shuffleBuffer / laneLimit;
    const lane = Math.floor(((at % batchSize) * laneLimit) / batchSize);
    const inLane =
      Math.floor(at / batchSize) * (batchSize / laneLimit) + (at % (batchSize / laneLimit));
    const shardInLane = [...perProcess[lane]!].indexOf(shardOf(place));
    const listed = shardInLane * 100 + (place - starts[shardOf(place)]!);
    return Math.abs(Math.floor(listed / window) - Math.floor(inLane / window));
  }
});

it("mixes far shards in every batch", () => {
  const lengths = Array(64).fill(100);
  const order = shardOrder(lengths, request);
  for (let start = 0; start < 3200; start += 64) {
    const shards = new Set(
      [...order.subarray(start, start + 64)].map((place) => Math.floor(place / 100)),
    );
    expect(shards.size).toBeGreaterThanOrEqual(laneLimit);
  }
});
