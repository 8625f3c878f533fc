// Checks the 2015 Inception with its real weights on real pictures (../shared): the Frechet distance of two sets at the
// 768 tap under both input protocols against an independent implementation, 1e-3 relative. 400 pictures, twice.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { batchOf, toDevice } from "../data/batch.js";
import { readImage } from "../media/image.js";
import { frechetDistance } from "../metrics/frechet.js";
import { Moments } from "../metrics/moments.js";
import { scope } from "../torch/index.js";
import type { FeatureNetwork } from "./feature-network.js";
import { Inception2015 } from "./inception-2015.js";

const shared = (path: string) => fileURLToPath(new URL(`../../../shared/${path}`, import.meta.url));
const weights = shared("weights/inception_2015_folded_partial.safetensors");
const goldenPath = shared("reference/golden/metrics.json");
const isHere = existsSync(weights) && existsSync(goldenPath);

interface Golden {
  readonly sets: Readonly<Record<"A" | "B", readonly string[]>>;
  readonly frechet768: Readonly<Record<"tensorflow" | "pytorch", number>>;
}

const batchSize = 20;

/** Both sets through every network, each picture read once. */
async function distancesOf(
  networks: readonly FeatureNetwork[],
  sets: readonly (readonly string[])[],
): Promise<number[]> {
  const moments = networks.map(() => sets.map(() => new Moments(768)));
  for (const [side, files] of sets.entries())
    for (let start = 0; start < files.length; start += batchSize) {
      const batch = files.slice(start, start + batchSize);
      const clips = await Promise.all(batch.map((file) => readImage(shared(`data/${file}`))));
      scope(() => {
        const pixels = toDevice(batchOf(clips), "cpu").squeeze(2);
        for (const [i, network] of networks.entries())
          moments[i]![side]!.update(network.forward(pixels, ["768"])["768"]);
      });
    }
  const distances = moments.map(([real, fake]) => frechetDistance(real!, fake!));
  for (const each of moments.flat()) each.dispose();
  return distances;
}

test.skipIf(!isHere)(
  "the Frechet distance at the 768 tap is the reference's under both input protocols (../shared)",
  async () => {
    const golden: Golden = JSON.parse(readFileSync(goldenPath, "utf8"));
    const protocols = ["tensorflow", "pytorch"] as const;
    const networks = protocols.map((protocol) => Inception2015.load({ path: weights, protocol }));
    expect(networks[0]!.taps).toEqual(["64", "192", "768"]);
    const distances = await distancesOf(networks, [golden.sets.A, golden.sets.B]);
    for (const network of networks) network.dispose();
    for (const [i, protocol] of protocols.entries()) {
      const ratio = distances[i]! / golden.frechet768[protocol];
      expect(Math.abs(ratio - 1), protocol).toBeLessThan(1e-3);
    }
    // The two differ by less than that: each must be nearer to its own.
    expect(distances[1]! - distances[0]!).toBeLessThan(0);
  },
  900_000,
);
