// A 2D convolution with its weights, for the networks that have any: a ViT has none.
import { type ConvOptions, conv2d, type Tensor } from "../torch/index.js";
import { parameter } from "./parameters.js";

export interface Conv2dOptions extends Pick<ConvOptions, "stride" | "padding"> {
  readonly hasBias?: boolean;
}

export class Conv2d {
  readonly weight: Tensor; // [out, in, k, k]
  readonly bias: Tensor | undefined; // [out]
  readonly #options: Conv2dOptions;

  constructor(
    channels: { readonly from: number; readonly to: number },
    kernel: number,
    options: Conv2dOptions = {},
  ) {
    this.weight = parameter([channels.to, channels.from, kernel, kernel]);
    this.bias = options.hasBias === false ? undefined : parameter([channels.to]);
    this.#options = options;
  }

  /** [N, from, H, W] -> [N, to, H', W'] */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, this.#options);
  }
}
