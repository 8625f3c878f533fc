// What `evaluate` can look at: a model of ours (model.ts), or another's as a baseline, recognised by its files.

import { fileHash } from "../file-hash.js";
import { AutoencoderKl } from "../formats/autoencoder-kl.js";
import { VitokV2 } from "../formats/vitok-v2.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import { pickDevice } from "../torch/index.js";
import { type LoadedModel, loadModel, localModel, type PlacementOptions } from "./model.js";

export type LoadedAutoEncoder = Omit<LoadedModel, "tokenizer"> & {
  readonly tokenizer: AutoEncoder;
};

/** The side that baselines are evaluated at, where none is asked for. */
const usualSize = 256;

/** Loads the model that `target` names: ours, diffusers' AutoencoderKL, or a ViTok-v2 checkpoint. Dispose of its tokenizer. */
export async function loadAutoEncoder(
  target: string,
  options: PlacementOptions,
): Promise<LoadedAutoEncoder> {
  const folder = await localModel(target);
  const kind = [AutoencoderKl, VitokV2].find((kind) => kind.isAt(folder));
  if (!kind) return loadModel(folder, options);
  const { device = "auto", precision = "float32" } = options;
  return {
    tokenizer: kind.load(folder, { device: pickDevice(device), dtype: precision }),
    folder,
    ...{ size: usualSize, frames: 1, fps: 8 },
    id: { weights: "raw", weightsHash: await fileHash(kind.weightsFile(folder)) },
  };
}
