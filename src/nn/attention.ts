// Multi-head self-attention with rotary positions: full, softmax in float32 inside libtorch's kernel.
import { scaledDotProductAttention, type Tensor } from "../torch/index.js";
import type { Branch } from "./fused/add-norm.js";
import { rotatedHeads } from "./fused/rotated-heads.js";
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
    const [q, k, v] = rotatedHeads(x, this.qkv, rope, this.heads); // [B, heads, N, headDim]
    const attended = scaledDotProductAttention(q, k, v);
    return { x: attended.transpose(1, 2).flatten(2), linear: this.proj };
  }
}
