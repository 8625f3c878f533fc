// The gated MLP of a block: w3(silu(gate) * value), gate and value from one product.
import type { Tensor } from "../torch/index.js";
import { Linear } from "./linear.js";

export class SwiGLU {
  readonly w12: Linear; // first half of the output is the gate, second half the value
  readonly w3: Linear;

  constructor(width: number, hidden: number) {
    this.w12 = new Linear(width, 2 * hidden);
    this.w3 = new Linear(hidden, width);
  }

  /** [..., width] -> [..., width] */
  forward(x: Tensor): Tensor {
    const [gate, value] = this.w12.forward(x).chunk(2, -1) as [Tensor, Tensor];
    return this.w3.forward(gate.silu().mul(value));
  }
}
