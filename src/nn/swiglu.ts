// The gated MLP of a block: w3(silu(gate) * value), gate and value from one product.
import type { Tensor } from "../torch/index.js";
import { float8Of } from "./float8.js";
import type { Branch } from "./fused/add-norm.js";
import { gatedSilu } from "./fused/gated-silu.js";
import { scalesOf } from "./fused/quantise-rows.js";
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
    return this.w3.forward(this.branch(x).x);
  }

  /** All but the last product. */
  branch(x: Tensor): Branch {
    const isQuantised = float8Of(this.w3.weight) !== undefined;
    const gated = gatedSilu(x, this.w12, isQuantised);
    return { x: gated, linear: this.w3, scales: scalesOf(gated) };
  }
}
