// The one-minute smoke: a Ti-Ti/8 overfits one batch of two drawn pictures of 32 px to more than 30 dB on the CPU.
import { expect, test } from "vitest";
import { clipsOf, pixelsOf } from "../src/data/batch.js";
import { Loader } from "../src/data/loader.js";
import { openSource } from "../src/data/source.js";
import { scope } from "../src/torch/index.js";
import { parseTrainConfig } from "../src/train/config.js";
import { Stage1 } from "../src/train/stage1.js";

test("a tiny tokenizer overfits one batch to more than 30 dB", async () => {
  const config = parseTrainConfig({
    model: { variant: "Ti-Ti/8" },
    data: { path: "drawn:train?count=2&size=32", size: 32 },
    losses: { lpips: 0, kl: 1e-6 },
    train: { steps: 250, batchSize: 2, peakLr: 1e-3, precision: "float32" },
  });
  const loader = new Loader(await openSource(config.data.path), {
    batchSize: 2,
    size: 32,
    augment: false,
  });
  const batch = (await loader.next())!;
  const recipe = new Stage1(config, "cpu");
  for (let step = 0; step < config.train.steps; step++) {
    // The noise is keyed by the sample's global index: another pass over the batch, other noise.
    const indices = batch.indices.map((index) => index + step * batch.indices.length);
    recipe.step({ ...batch, indices }, step);
  }
  const recon = scope(() => clipsOf(recipe.tokenizer.reconstruct(pixelsOf(batch))));
  const error = recon.flatMap(({ bytes }, index) =>
    [...bytes].map((byte, at) => (byte - batch.bytes[index * bytes.length + at]!) ** 2),
  );
  const psnr =
    10 * Math.log10(255 ** 2 / (error.reduce((sum, value) => sum + value, 0) / error.length));
  recipe.dispose();
  expect(psnr).toBeGreaterThan(30);
});
