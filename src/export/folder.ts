// A model folder to hand on: the weights in the dtype that they are shared in, and nothing of the machine they come from.
// The model's card is train/model-card.ts.
import { join } from "node:path";
import { stateDict } from "../nn/parameters.js";
import { portable } from "../portable.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { Generator, noGrad, rand, scope, type Tensor } from "../torch/index.js";

/**
 * Writes config.json and model.safetensors in the dtype of the tokenizer's weights; `extra` are further keys of its config.
 * Returns the files' paths.
 * @throws an Error that names a weight which the dtype cannot hold; then nothing is written
 */
export function exportFolder(
  tokenizer: Tokenizer,
  folder: string,
  extra: Readonly<Record<string, unknown>> = {},
): string[] {
  scope(() => {
    for (const [name, weight] of Object.entries(stateDict(tokenizer)))
      if (!weight.abs().amax().isFinite().item())
        throw new Error(
          `Expected finite numbers in ${name}, received others in ${weight.dtype}. Export it in float32.`,
        );
  });
  tokenizer.save(folder, portable(extra));
  return ["model.safetensors", "config.json"].map((name) => join(folder, name));
}

/** Largest absolute difference that rounding the weights made. */
export interface Rounding {
  readonly mean: number;
  readonly recon: number;
}

/** The folder against the float32 model it was written from, both computing in float32 on the same noise. */
export async function checkFolder(original: Tokenizer, folder: string): Promise<Rounding> {
  const exported = await Tokenizer.load(folder);
  const { patchSize: p, tubeletSize: q } = original.config;
  const apart = (one: Tensor, other: Tensor) => one.sub(other).abs().amax().item() as number;
  const rounding = scope(() => {
    const generator = new Generator(7);
    const pixels = rand([2, 3, q, 4 * p, 5 * p], { generator })
      .mul(2)
      .sub(1);
    const run = (tokenizer: Tokenizer) => ({
      mean: noGrad(() => tokenizer.encode(pixels).mean),
      recon: tokenizer.reconstruct(pixels),
    });
    const [before, after] = [run(original), run(exported)];
    return { mean: apart(before.mean, after.mean), recon: apart(before.recon, after.recon) };
  });
  exported.dispose();
  return rounding;
}
