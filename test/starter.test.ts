// The trained model that comes with the package, once it is there: that its folder loads, that its card tells its scores, and
// that they are so: PSNR on Kodak (../shared/data/kodak) within 0.02 dB of the card's. Skipped, with a line that says so,
// while there is no models/starter.
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { openSource } from "../src/data/source.js";
import { evaluateReconstruction } from "../src/evaluate/reconstruction.js";
import { fileHash } from "../src/file-hash.js";
import { readSafetensorsHeader } from "../src/nn/safetensors.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";

const starter = fileURLToPath(new URL("../models/starter", import.meta.url));
const kodak = fileURLToPath(new URL("../../shared/data/kodak", import.meta.url));
const weights = join(starter, "model.safetensors");
const isHere = existsSync(weights);
if (!isHere) console.warn("skipped: there is no models/starter yet");
const card = isHere ? readFileSync(join(starter, "README.md"), "utf8") : "";
/** The card's row of Kodak: n, crop in pixels, PSNR. */
const row = /^\| kodak \| (\d+) \| (\d+) px \| ([\d.]+) \|/m.exec(card)?.slice(1).map(Number);

test.skipIf(!isHere)(
  "it is small, in half precision, and its card is of these weights",
  async () => {
    expect(statSync(weights).size).toBeLessThan(40e6);
    const { entries } = readSafetensorsHeader(weights);
    expect(new Set([...entries.values()].map(({ dtype }) => dtype))).toEqual(new Set(["float16"]));
    expect(card).toContain(await fileHash(weights));
    expect(row, "a row of Kodak among the card's scores").toBeDefined();
    expect(card + readFileSync(join(starter, "config.json"), "utf8")).not.toMatch(
      /\/(home|root|tmp)\//,
    );
  },
);

test.skipIf(!isHere || !existsSync(kodak))("its score on Kodak is the card's", async () => {
  const [count, size, PSNR] = row as [number, number, number];
  const tokenizer = await Tokenizer.load(starter);
  const { metrics } = await evaluateReconstruction(tokenizer, await openSource(kodak), {
    ...{ size, count, batchSize: 1, metrics: ["psnr"] },
  });
  tokenizer.dispose();
  expect(Math.abs(metrics.PSNR! - PSNR)).toBeLessThan(0.02);
});
