// The transformer block, and a row of them.
import type { Tensor } from "../torch/index.js";
import { Attention } from "./attention.js";
import type { Checkpointing } from "./checkpointing.js";
import { LayerNorm } from "./norm.js";
import type { Rope } from "./rope.js";
import { SwiGLU } from "./swiglu.js";

export class Block {
  readonly norm1: LayerNorm;
  readonly attn: Attention;
  readonly norm2: LayerNorm;
  readonly mlp: SwiGLU;

  constructor(width: number, heads: number, mlpHidden: number) {
    this.norm1 = new LayerNorm(width);
    this.attn = new Attention(width, heads);
    this.norm2 = new LayerNorm(width);
    this.mlp = new SwiGLU(width, mlpHidden);
  }

  /** Pre-norm transformer block. x: [B, N, D] -> [B, N, D] */
  forward(x: Tensor, rope: Rope): Tensor {
    x = x.add(this.attn.forward(this.norm1.forward(x), rope));
    return x.add(this.mlp.forward(this.norm2.forward(x)));
  }
}

/** x: [B, N, D] through every block; with `checkpointing` only the blocks' inputs are saved for the backward pass. */
export function runBlocks(
  blocks: readonly Block[],
  x: Tensor,
  rope: Rope,
  checkpointing?: Checkpointing,
): Tensor {
  for (const block of blocks)
    x = checkpointing
      ? checkpointing.run((input) => block.forward(input, rope), x)
      : block.forward(x, rope);
  return x;
}
