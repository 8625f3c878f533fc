// A latent to the clip it stands for, at the size it had.
import { ConfigError } from "../config-error.js";
import { clipsOf } from "../data/batch.js";
import type { Clip } from "../media/clip.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import { noGrad, scope } from "../torch/index.js";
import type { Latent } from "./latent-file.js";

/**
 * Decodes one latent and rounds to the nearest byte. `keep` (Masked ViTok): how many leading tokens are real.
 * @throws ConfigError where the latent is not one of this model's
 */
export function decodeLatent(
  tokenizer: AutoEncoder,
  latent: Latent,
  options: { keep?: number | undefined } = {},
): Clip {
  requireFits(tokenizer.config, { ...latent, shape: latent.mean.shape });
  const { device } = tokenizer.placement;
  const { mean, grid, size } = latent;
  return scope(() =>
    noGrad(() => {
      const z = mean.to({ device }).unsqueeze(0);
      return clipsOf(tokenizer.decode(z, grid, { keep: options.keep, size }))[0]!;
    }),
  );
}

/** @throws ConfigError where a latent is not one of a model with this config */
export function requireFits(
  config: AutoEncoder["config"],
  { shape, grid, size, source }: Omit<Latent, "mean"> & { readonly shape: readonly number[] },
): void {
  const { patchSize: p, tubeletSize: q, channels, latentTokens } = config;
  const fail = (expected: string, received: string): never => {
    throw new ConfigError(
      `Expected ${expected} for the latent of ${source}, received ${received}. Decode it with the model that encoded it.`,
    );
  };
  if (shape.length !== 2) fail("tokens x channels", shape.join(" x "));
  const [length, width] = shape as [number, number];
  const tokens = latentTokens || grid.t * grid.h * grid.w;
  if (width !== channels) fail(`${channels} channels, as the model has,`, String(width));
  if (length !== tokens) fail(`${tokens} tokens`, String(length));
  const wanted = { t: size.frames / q, h: size.height / p, w: size.width / p };
  const isWhole = (["t", "h", "w"] as const).every(
    (axis) => grid[axis] === Math.ceil(wanted[axis]),
  );
  if (!isWhole)
    fail(
      `a grid of ${Object.values(wanted).map(Math.ceil).join(" x ")} (${size.frames} x ${size.height} x ${size.width} in tubelets of ${q} x ${p} x ${p})`,
      Object.values(grid).join(" x "),
    );
}
