// y = x W^T + b over the last dimension.
import { linear, type Tensor } from "../torch/index.js";
import { float8Linear, float8Of } from "./float8.js";
import { oneDnnLinear, packedRows, suitsOneDnn } from "./one-dnn.js";
import { parameter } from "./parameters.js";
import { working } from "./working.js";

export class Linear {
  readonly weight: Tensor; // [out, in]
  readonly bias: Tensor; // [out]

  constructor(inFeatures: number, outFeatures: number) {
    this.weight = parameter([outFeatures, inFeatures]);
    this.bias = parameter([outFeatures]);
  }

  /** [..., in] -> [..., out] */
  forward(x: Tensor): Tensor {
    const low = float8Of(this.weight);
    if (low) return float8Linear(x, low, this.bias);
    return suitsOneDnn(x, this.weight)
      ? oneDnnLinear(x, packedRows(this.weight, 1)[0]!, this.bias)
      : linear(this.#fitted(x), working(this.weight), working(this.bias));
  }

  /** x W^T, for where the bias is added together with what follows. */
  product(x: Tensor): Tensor {
    const low = float8Of(this.weight);
    if (low) return float8Linear(x, low);
    return linear(this.#fitted(x), working(this.weight));
  }

  /** Without a working copy the dtypes are the caller's, or autocast's, affair. */
  #fitted(x: Tensor): Tensor {
    const { dtype } = working(this.weight);
    return dtype === this.weight.dtype || dtype === x.dtype ? x : x.to({ dtype });
  }
}
