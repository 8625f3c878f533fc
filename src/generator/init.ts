// How a generator's parameters start, from one seed (spec section 1, as in DiT): a block starts as the identity.
import { parameters } from "../nn/parameters.js";
import { call, Generator, noGrad, scope, Tensor } from "../torch/index.js";
import type { Dit } from "./dit.js";

/**
 * | parameter                              | start                                 |
 * |----------------------------------------|---------------------------------------|
 * | label_embed, time_embed.*.weight       | normal, std 0.02                      |
 * | *modulation.*, to_latent.*             | 0: gates are shut, the prediction is 0 |
 * | *.bias                                 | 0                                     |
 * | other *.weight                         | Xavier uniform: +-sqrt(6 / (in + out)) |
 */
export function initializeDit(dit: Dit, seed: number): void {
  const generator = new Generator(seed);
  noGrad(() => {
    for (const [name, tensor] of parameters(dit))
      scope(() => tensor.copy_(initial(name, tensor, generator)));
  });
}

function initial(name: string, tensor: Tensor, generator: Generator): Tensor {
  // Drawn on the CPU, so that a seed means one model on every device.
  const draft = Tensor.from(new Float32Array(tensor.numel), tensor.shape);
  if (name.endsWith(".bias") || /(^|\.)modulation\.|^to_latent\./.test(name)) return draft;
  if (/^(label_embed$|time_embed\.)/.test(name))
    return call("normal_", draft, 0, 0.02, generator.handle);
  const bound = Math.sqrt(6 / (tensor.size(0) + tensor.size(1)));
  return call("uniform_", draft, -bound, bound, generator.handle);
}
