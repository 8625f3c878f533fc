// A generator's folder as tests need it: tiny, untrained, three classes that differ, 16 x 16 pixels.
import { join } from "node:path";
import { savePipeline } from "../src/codec/generator-folder.js";
import { fileHash } from "../src/file-hash.js";
import { defineGenerator } from "../src/generator/config.js";
import { LatentGenerator } from "../src/generator/latent-generator.js";
import { parameters } from "../src/nn/parameters.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { Generator, call as libtorch, noGrad } from "../src/torch/index.js";

/** Writes it to `model`, and its tokenizer to a folder of its own, too. */
export async function saveTinyGenerator(model: string, tokenizerFolder: string): Promise<void> {
  const tokenizer = Tokenizer.create("Tiw48d1h4-Tiw48d1h4/1x8x4", { seed: 1 });
  tokenizer.save(tokenizerFolder, { provenance: { size: 16 } });
  const config = defineGenerator({ variant: "DiT-Sw48d1h4", channels: 4, classes: 3 });
  const generator = LatentGenerator.create(config, {
    latentMean: [0, 0, 0, 0],
    latentStd: [1, 1, 1, 1],
    grid: { t: 1, h: 2, w: 2 },
    size: { frames: 1, height: 16, width: 16 },
    classNames: ["ball", "box", "cone"],
    tokenizerHash: await fileHash(join(tokenizerFolder, "model.safetensors")),
    weights: "ema",
  });
  const random = new Generator(2);
  noGrad(() => {
    // A fresh DiT predicts 0: with other weights its classes differ.
    for (const [, tensor] of parameters(generator.dit))
      libtorch("normal_", tensor, 0, 0.2, random.handle);
  });
  savePipeline(model, generator, { tokenizer: tokenizerFolder });
  generator.dispose();
  tokenizer.dispose();
}
