// Pairs of files by name, and their scores.
import { extname } from "node:path";
import type { Source } from "../data/source.js";
import { scope } from "../torch/index.js";
import { readAhead, runsOfOneSize, shapeOf, stackClips } from "./read-ahead.js";
import type { Scoreboard } from "./scoreboard.js";

/** Places in the real and in the fake set, in the real set's order. */
export type Pair = readonly [real: number, fake: number];

/**
 * Files of one relative name, whatever their extensions.
 * @throws an Error that lists the files without a partner, and names that occur twice
 */
export function matchPairs(real: Source, fake: Source): Pair[] {
  const [realPlaces, fakePlaces] = [placesByStem(real), placesByStem(fake)];
  const lonely = (own: Map<string, number>, other: Map<string, number>) =>
    [...own.keys()].filter((stem) => !other.has(stem));
  const onlyReal = lonely(realPlaces, fakePlaces);
  const onlyFake = lonely(fakePlaces, realPlaces);
  if (!onlyReal.length && !onlyFake.length)
    return [...realPlaces].map(([stem, place]) => [place, fakePlaces.get(stem)!] as const);
  const list = (stems: string[], set: string) =>
    stems.length ? `\n  only in ${set}: ${abbreviated(stems)}` : "";
  throw new Error(
    `Expected files of the same names, extensions aside, for scores of pairs, received ${realPlaces.size} and ` +
      `${fakePlaces.size}, of which ${onlyReal.length + onlyFake.length} have no partner.` +
      `${list(onlyReal, "real")}${list(onlyFake, "fake")}\nRename them, or ask for fid and is alone.`,
  );
}

function placesByStem(set: Source): Map<string, number> {
  const places = new Map<string, number>();
  for (let index = 0; index < set.length; index++) {
    const name = set.id(index);
    const stem = name.slice(0, name.length - extname(name).length);
    const other = places.get(stem);
    if (other !== undefined)
      throw new Error(
        `Expected one file of a name in ${set.name}, received ${set.id(other)} and ${name}. Rename one.`,
      );
    places.set(stem, index);
  }
  return places;
}

function abbreviated(names: readonly string[]): string {
  const rest = names.length - 5;
  return names.slice(0, 5).join(", ") + (rest > 0 ? ` and ${rest} more` : "");
}

interface ScorePairsOptions {
  readonly batchSize: number;
  readonly device: string;
  readonly onProgress: (done: number) => void;
}

/** Adds every pair to the scoreboard. @throws an Error naming a pair of two sizes */
export async function scorePairs(
  scoreboard: Scoreboard,
  { real, fake, pairs }: { real: Source; fake: Source; pairs: readonly Pair[] },
  { batchSize, device, onProgress }: ScorePairsOptions,
): Promise<void> {
  const reader = readAhead({ count: pairs.length, chunk: batchSize }, async (index) => {
    const [realPlace, fakePlace] = pairs[index]!;
    const [a, b] = await Promise.all([real.load(realPlace), fake.load(fakePlace)]);
    if (shapeOf(a) === shapeOf(b)) return { a, b, place: realPlace };
    throw new Error(
      `Expected ${fake.id(fakePlace)} to be of ${shapeOf(a)} (frames, height, width) as its original ` +
        `${real.id(realPlace)}, received ${shapeOf(b)}. Crop both alike.`,
    );
  });
  for await (const { start, items } of reader) {
    for (const [first, end] of runsOfOneSize(items.map(({ a }) => a))) {
      const run = items.slice(first, end);
      const indices = run.map(({ place }) => place);
      const files = indices.map((place) => real.id(place));
      const labels = indices.map((place) => real.label(place) ?? -1);
      scope(() => {
        const [originals, recons] = (["a", "b"] as const).map((side) =>
          stackClips(
            run.map((pair) => pair[side]),
            device,
          ),
        );
        scoreboard.update({ files, indices, labels }, originals!, recons!);
      });
    }
    onProgress(start + items.length);
  }
}
