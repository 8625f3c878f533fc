// Multi-head self-attention with rotary positions: full, softmax in float32 inside libtorch's kernel.
import type { Tensor } from "../torch/index.js";
import type { Branch } from "./fused/add-norm.js";
import { selfAttention } from "./fused/self-attention.js";
import { Linear } from "./linear.js";
import type { Rope } from "./rope.js";

export class Attention {
  readonly qkv: Linear; // output order q, k, v; each heads x headDim
  readonly proj: Linear;

  constructor(
    width: number,
    private readonly heads: number,
  ) {
    this.qkv = new Linear(width, 3 * width);
    this.proj = new Linear(width, width);
  }

  /** x: [B, N, D] -> [B, N, D] */
  forward(x: Tensor, rope: Rope): Tensor {
    const attended = this.branch(x, rope);
    return attended.linear.forward(attended.x);
  }

  /** All but the last product. */
  branch(x: Tensor, rope: Rope): Branch {
    return { x: selfAttention(x, this.qkv, rope, this.heads), linear: this.proj };
  }
}
