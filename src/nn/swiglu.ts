// The gated MLP of a block: w3(silu(gate) * value), gate and value from one product.
import type { Tensor } from "../torch/index.js";
import { Linear } from "./linear.js";
import { oneDnnLinear, packedRows, suitsOneDnn } from "./one-dnn.js";

export class SwiGLU {
  readonly w12: Linear; // first half of the output is the gate, second half the value
  readonly w3: Linear;

  constructor(width: number, hidden: number) {
    this.w12 = new Linear(width, 2 * hidden);
    this.w3 = new Linear(hidden, width);
  }

  /** [..., width] -> [..., width] */
  forward(x: Tensor): Tensor {
    return this.w3.forward(this.#gated(x));
  }

  #gated(x: Tensor): Tensor {
    const { weight, bias } = this.w12;
    if (!suitsOneDnn(x, weight)) {
      const [gate, value] = this.w12.forward(x).chunk(2, -1) as [Tensor, Tensor];
      return gate.silu().mul(value);
    }
    const [gateWeight, valueWeight] = packedRows(weight, 2) as [Tensor, Tensor];
    const [gateBias, valueBias] = bias.chunk(2, 0) as [Tensor, Tensor];
    const times = oneDnnLinear(x, gateWeight, gateBias, { silu: true });
    return oneDnnLinear(x, valueWeight, valueBias, { times });
  }
}
