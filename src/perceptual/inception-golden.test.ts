// Checks the 2015 Inception with its real weights on real pictures (../shared): the Frechet distance of two sets at the
// 768 tap against an independent implementation, 1e-3 relative. VITOK_LONG=1 adds the second input protocol.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { batchOf } from "../data/batch.js";
import { readImage } from "../media/image.js";
import { frechetDistance } from "../metrics/frechet.js";
import { Moments } from "../metrics/moments.js";
import { scope, Tensor } from "../torch/index.js";
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

async function momentsOf(network: FeatureNetwork, files: readonly string[]): Promise<Moments> {
  const moments = new Moments(768);
  for (let start = 0; start < files.length; start += batchSize) {
    const batch = files.slice(start, start + batchSize);
    const clips = await Promise.all(batch.map((file) => readImage(shared(`data/${file}`))));
    scope(() => {
      const { bytes, shape } = batchOf(clips); // [N, 1, H, W, 3]
      const pixels = Tensor.from(bytes, shape).select(1, 0).permute([0, 3, 1, 2]);
      moments.update(network.forward(pixels, ["768"])["768"]);
    });
  }
  return moments;
}

describe.skipIf(!isHere)("the Frechet distance at the 768 tap (../shared)", () => {
  const protocols = process.env.VITOK_LONG
    ? (["tensorflow", "pytorch"] as const)
    : (["tensorflow"] as const);

  test.each(protocols)(
    "is the reference's under the input protocol %s",
    async (protocol) => {
      const golden: Golden = JSON.parse(readFileSync(goldenPath, "utf8"));
      const network = Inception2015.load({ path: weights, protocol });
      expect(network.taps).toEqual(["64", "192", "768"]);
      const real = await momentsOf(network, golden.sets.A);
      const fake = await momentsOf(network, golden.sets.B);
      const ratio = frechetDistance(real, fake) / golden.frechet768[protocol];
      expect(Math.abs(ratio - 1)).toBeLessThan(1e-3);
      for (const owner of [network, real, fake]) owner.dispose();
    },
    600_000,
  );
});
