// The order in which an epoch visits samples that lie in shards: as random as a bounded buffer allows, while each process
// reads few shards at a time. A function of (seed, epoch) and the shards' lengths alone, so that resuming needs no state
// and any number of processes sees one order.
//
// A batch's places are divided among lanes, and a lane walks through shards of its own; within a lane, windows of
// samples are shuffled. A process that takes a part of every batch takes whole lanes, so it needs no other lane's shards.
import { randomStream, shuffled } from "../random.js";

export interface OrderRequest {
  readonly seed: number;
  readonly epoch: number;
  /** Samples of a global batch; the first sample of the epoch has global index epoch * length. */
  readonly batchSize: number;
  /** Samples that are mixed with each other, over all lanes. The set's length and more is a full shuffle. */
  readonly shuffleBuffer: number;
}

/** At most so many lanes: so many processes, or nodes with a common cache, can read shards that no other reads. */
export const laneLimit = 16;

const purpose = { full: 1, shards: 6, window: 7 }; // apart from each other and from loader.ts's choices

/** Places 0..length-1 in the epoch's order; a place counts samples through the shards in their listed order. */
export function shardOrder(lengths: readonly number[], request: OrderRequest): Uint32Array {
  const { seed, epoch, batchSize, shuffleBuffer } = request;
  const total = lengths.reduce((sum, length) => sum + length, 0);
  if (shuffleBuffer >= total) return shuffled(total, randomStream(seed, purpose.full, epoch));
  const laneCount = Math.min(laneLimit, lengths.length, batchSize);
  const window = Math.max(1, Math.floor(shuffleBuffer / laneCount));
  const lanes = dealShards(lengths, laneCount, request).map((shards, lane) =>
    shuffleWindows(placesOf(shards, lengths), window, (index) =>
      randomStream(seed, purpose.window, epoch, lane, index),
    ),
  );
  return mergeLanes(lanes, { total, batchSize, firstSample: epoch * total });
}

/** Deals the shards in random order, each to the lane that has the fewest samples so far. */
function dealShards(
  lengths: readonly number[],
  laneCount: number,
  { seed, epoch }: OrderRequest,
): number[][] {
  const lanes = Array.from({ length: laneCount }, () => ({ shards: [] as number[], samples: 0 }));
  for (const shard of shuffled(lengths.length, randomStream(seed, purpose.shards, epoch))) {
    const lane = lanes.reduce((least, other) => (other.samples < least.samples ? other : least));
    lane.shards.push(shard);
    lane.samples += lengths[shard]!;
  }
  return lanes.map(({ shards }) => shards);
}

function placesOf(shards: readonly number[], lengths: readonly number[]): Uint32Array {
  const starts = startsOf(lengths);
  const places = new Uint32Array(shards.reduce((sum, shard) => sum + lengths[shard]!, 0));
  let at = 0;
  for (const shard of shards)
    for (let i = 0; i < lengths[shard]!; i++) places[at++] = starts[shard]! + i;
  return places;
}

/** How many samples lie before each shard, and after the last entry: all of them. */
export function startsOf(lengths: readonly number[]): number[] {
  const starts = [0];
  for (const length of lengths) starts.push(starts.at(-1)! + length);
  return starts;
}

function shuffleWindows(
  places: Uint32Array,
  window: number,
  random: (index: number) => ReturnType<typeof randomStream>,
): Uint32Array {
  const mixed = new Uint32Array(places.length);
  for (let start = 0; start < places.length; start += window) {
    const length = Math.min(window, places.length - start);
    const order = shuffled(length, random(start / window));
    for (let i = 0; i < length; i++) mixed[start + i] = places[start + order[i]!]!;
  }
  return mixed;
}

/** Each place of a batch takes from its lane; once that is empty, from the one with most left. */
function mergeLanes(
  lanes: readonly Uint32Array[],
  { total, batchSize, firstSample }: { total: number; batchSize: number; firstSample: number },
): Uint32Array {
  const taken = lanes.map(() => 0);
  const left = (lane: number) => lanes[lane]!.length - taken[lane]!;
  const order = new Uint32Array(total);
  for (let i = 0; i < total; i++) {
    const slot = (firstSample + i) % batchSize;
    let lane = Math.floor((slot * lanes.length) / batchSize);
    if (left(lane) === 0) for (let k = 0; k < lanes.length; k++) if (left(k) > left(lane)) lane = k;
    order[i] = lanes[lane]![taken[lane]!++]!;
  }
  return order;
}
