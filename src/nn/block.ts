// The transformer block, and a row of them.
import { scope, type Tensor } from "../torch/index.js";
import { Attention } from "./attention.js";
import type { Checkpointing } from "./checkpointing.js";
import { usesFloat8 } from "./float8.js";
import { addNorm, lastNorm, type Stream, sumOf } from "./fused/add-norm.js";
import { InferenceStream, suitsInferenceStream } from "./fused/inference-stream.js";
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

  /** x: [B, N, D] -> [B, N, D] */
  forward(x: Tensor, rope: Rope): Tensor {
    return sumOf(this.extend({ x }, rope));
  }

  /** Pre-norm transformer block over the residual stream [B, N, D]: sum, norm, attention; sum, norm, MLP. */
  extend(stream: Stream, rope: Rope): Stream {
    const isQuantised = usesFloat8([this]);
    const [x, normed] = addNorm(stream, this.norm1, { isQuantised });
    const branch = this.attn.branch(normed, rope);
    const [y, normedAgain] = addNorm({ x, branch }, this.norm2, { isQuantised });
    return { x: y, branch: this.mlp.branch(normedAgain) };
  }
}

/** x: [B, N, D] through every block; with `checkpointing` only the blocks' inputs are saved for the backward pass. */
export function runBlocks(
  blocks: readonly Block[],
  x: Tensor,
  rope: Rope,
  checkpointing?: Checkpointing,
): Tensor {
  return sumOf(streamThrough(blocks, x, rope, checkpointing));
}

/** A tower: as runBlocks, and then the norm, in one step with the last sum. `x` is the tower's to overwrite. */
export function runTower(
  { blocks, norm }: { readonly blocks: readonly Block[]; readonly norm: LayerNorm },
  x: Tensor,
  rope: Rope,
  checkpointing?: Checkpointing,
): Tensor {
  const addsInPlace = !usesFloat8(blocks); // an 8-bit product cannot
  if (!checkpointing && addsInPlace && suitsInferenceStream(x, norm)) {
    const stream = new InferenceStream(x);
    for (const { norm1, attn, norm2, mlp } of blocks)
      scope(() => {
        stream.add(attn.branch(stream.norm(norm1), rope));
        stream.add(mlp.branch(stream.norm(norm2)));
        return stream;
      });
    return stream.norm(norm);
  }
  return lastNorm(streamThrough(blocks, x, rope, checkpointing), norm);
}

function streamThrough(
  blocks: readonly Block[],
  x: Tensor,
  rope: Rope,
  checkpointing?: Checkpointing,
): Stream {
  let stream: Stream = { x };
  for (const block of blocks)
    stream = checkpointing
      ? { x: checkpointing.run((input) => block.forward(input, rope), stream.x) }
      : scope(() => block.extend(stream, rope));
  return stream;
}
