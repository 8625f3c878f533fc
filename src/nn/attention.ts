// Multi-head self-attention with rotary positions: full, softmax in float32 inside libtorch's kernel.
import { scaledDotProductAttention, type Tensor } from "../torch/index.js";
import { Linear } from "./linear.js";
import { type Rope, rotate } from "./rope.js";

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
    const [batch, tokens, width] = x.shape as [number, number, number];
    const qkv = this.qkv.forward(x).view([batch, tokens, 3, this.heads, width / this.heads]);
    const [qk, v] = qkv.permute([2, 0, 3, 1, 4]).split([2, 1]) as [Tensor, Tensor]; // [.., B, heads, N, headDim]
    const [q, k] = rotate(qk, rope).unbind() as [Tensor, Tensor];
    const attended = scaledDotProductAttention(q, k, v.squeeze(0));
    return this.proj.forward(attended.transpose(1, 2).reshape([batch, tokens, width]));
  }
}
