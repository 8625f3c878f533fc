// A clip to its latent. Files in and out are latent-file.ts and the commands'.
import { toDevice } from "../data/batch.js";
import type { Clip } from "../media/clip.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import { noGrad, scope } from "../torch/index.js";
import type { Latent } from "./latent-file.js";

/** The posterior mean of a clip of any size, on the CPU; dispose of its `mean`. */
export function encodeClip(tokenizer: AutoEncoder, clip: Clip): Omit<Latent, "source" | "fps"> {
  const { bytes, frames, height, width } = clip;
  const { device } = tokenizer.placement;
  return scope(() =>
    noGrad(() => {
      const batch = { bytes, shape: [1, frames, height, width, 3] } as const;
      const { mean, grid, size } = tokenizer.encode(toDevice(batch, device));
      return { mean: mean.squeeze(0).to({ device: "cpu" }).contiguous(), grid, size };
    }),
  );
}
