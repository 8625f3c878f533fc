// LayerNorm over the last dimension; statistics in float32 whatever the input's dtype.
import { layerNorm, type Tensor } from "../torch/index.js";
import { parameter } from "./parameters.js";
import { working } from "./working.js";

export class LayerNorm {
  readonly weight: Tensor; // [width]
  readonly bias: Tensor; // [width]

  constructor(
    width: number,
    readonly eps = 1e-6,
  ) {
    this.weight = parameter([width]);
    this.bias = parameter([width]);
  }

  forward(x: Tensor): Tensor {
    return layerNorm(x, this.weight.shape, working(this.weight), working(this.bias), this.eps);
  }
}
