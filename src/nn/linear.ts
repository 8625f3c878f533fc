// y = x W^T + b over the last dimension.
import { linear, type Tensor } from "../torch/index.js";
import { oneDnnLinear, packedRows, suitsOneDnn } from "./one-dnn.js";
import { parameter } from "./parameters.js";

export class Linear {
  readonly weight: Tensor; // [out, in]
  readonly bias: Tensor; // [out]

  constructor(inFeatures: number, outFeatures: number) {
    this.weight = parameter([outFeatures, inFeatures]);
    this.bias = parameter([outFeatures]);
  }

  /** [..., in] -> [..., out] */
  forward(x: Tensor): Tensor {
    return suitsOneDnn(x, this.weight)
      ? oneDnnLinear(x, packedRows(this.weight, 1)[0]!, this.bias)
      : linear(x, this.weight, this.bias);
  }
}
