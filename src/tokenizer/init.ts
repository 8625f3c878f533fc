// How every parameter starts: in this one function, from one seed (spec section 1; MAE's and the author's choices).
import { parameters } from "../nn/parameters.js";
import { call, Generator, noGrad, scope, Tensor } from "../torch/index.js";
import { sincos } from "./sincos.js";
import type { Tokenizer } from "./tokenizer.js";

/**
 * | parameter                            | start                                             |
 * |--------------------------------------|---------------------------------------------------|
 * | *.norm*.weight                       | 1                                                 |
 * | *.bias                               | 0                                                 |
 * | *.weight (linears)                   | Xavier uniform: +-sqrt(6 / (in + out))            |
 * | patch_embed.weight, to_pixels.weight | the same, as the matrix [D, 3 q p p]              |
 * | encoder.latent_tokens                | 1D sin-cos                                        |
 * | decoder.latent_position              | 1D sin-cos                                        |
 * | decoder.patch_mask_token, mask_token | normal, std 0.02: zeros would blow up the gradient of the norm that follows |
 */
export function initialize(tokenizer: Tokenizer, seed: number): void {
  const generator = new Generator(seed);
  noGrad(() => {
    for (const [name, tensor] of parameters(tokenizer))
      scope(() => tensor.copy_(initial(name, tensor, generator)));
  });
}

function initial(name: string, tensor: Tensor, generator: Generator): Tensor {
  // Drawn on the CPU, so that a seed means one model on every device.
  const draft = Tensor.from(new Float32Array(tensor.numel), tensor.shape);
  if (/norm\d?\.weight$/.test(name)) return draft.fill_(1);
  if (name.endsWith(".bias")) return draft;
  if (/latent_(tokens|position)$/.test(name))
    return Tensor.from(sincos(tensor.size(0), tensor.size(1)), tensor.shape);
  if (name.endsWith("mask_token")) return call("normal_", draft, 0, 0.02, generator.handle);
  const [out, ...rest] = tensor.shape as [number, ...number[]];
  const bound = Math.sqrt(6 / (out + rest.reduce((product, size) => product * size, 1)));
  return call("uniform_", draft, -bound, bound, generator.handle);
}
