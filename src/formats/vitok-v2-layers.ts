// The layers of ViTok-v2, the author's later public model: attention and MLP side by side behind one RMSNorm, queries and
// keys normed, a learned scale before the residual, no biases. Properties carry its checkpoints' names. Model: vitok-v2.ts.
// B batch, N tokens, D width, d width of a head.
import { parameter } from "../nn/parameters.js";
import { linear, rmsNorm, scaledDotProductAttention, stack, type Tensor } from "../torch/index.js";

export interface BlockSize {
  readonly width: number;
  readonly heads: number;
  /** Width inside the MLP. */
  readonly hidden: number;
}

/** What attention needs to know of the tokens' places. */
export interface TokenPlaces {
  /** Of each token's rotation: [B or 1, N, 1, d / 2]. */
  readonly cos: Tensor;
  readonly sin: Tensor;
  /** [B, 1, N, N], where tokens are padding; true where a query sees a key. */
  readonly mask: Tensor | undefined;
}

class RmsNorm {
  readonly weight: Tensor;

  constructor(width: number) {
    this.weight = parameter([width]);
  }

  /** Over the last dimension, in float32. */
  forward(x: Tensor): Tensor {
    const float = { dtype: "float32" } as const;
    return rmsNorm(x.to(float), this.weight.shape, this.weight.to(float)).to({ dtype: x.dtype });
  }
}

class Projection {
  readonly weight: Tensor; // [out, in]

  constructor(inFeatures: number, outFeatures: number) {
    this.weight = parameter([outFeatures, inFeatures]);
  }

  forward(x: Tensor): Tensor {
    return linear(x, this.weight);
  }
}

class Attention {
  readonly normQ: RmsNorm;
  readonly normK: RmsNorm;
  readonly qkvProj: Projection;
  readonly outProj: Projection;

  constructor(
    width: number,
    private readonly heads: number,
  ) {
    this.normQ = new RmsNorm(width / heads);
    this.normK = new RmsNorm(width / heads);
    this.qkvProj = new Projection(width, 3 * width);
    this.outProj = new Projection(width, width);
  }

  forward(x: Tensor, places: TokenPlaces): Tensor {
    const [batch, tokens, width] = x.shape as [number, number, number];
    const shape = [batch, tokens, 3, this.heads, width / this.heads];
    const [q, k, v] = this.qkvProj.forward(x).view(shape).unbind(2) as [Tensor, Tensor, Tensor];
    const perHead = (part: Tensor) => part.transpose(1, 2); // [B, heads, N, d]
    const attended = scaledDotProductAttention(
      perHead(rotatePairs(this.normQ.forward(q), places)),
      perHead(rotatePairs(this.normK.forward(k), places)),
      perHead(v),
      places.mask,
    );
    return this.outProj.forward(attended.transpose(1, 2).reshape([batch, tokens, width]));
  }
}

/** Rotates neighbouring numbers (2k, 2k + 1) of x [B, N, heads, d] by the angle k. */
function rotatePairs(x: Tensor, { cos, sin }: TokenPlaces): Tensor {
  const pairs = x.to({ dtype: "float32" }).reshape([...x.shape.slice(0, -1), -1, 2]);
  const [a, b] = pairs.unbind(-1) as [Tensor, Tensor];
  const rotated = stack([a.mul(cos).sub(b.mul(sin)), a.mul(sin).add(b.mul(cos))], -1);
  return rotated.flatten(-2).to({ dtype: x.dtype });
}

class Mlp {
  readonly fc1: Projection; // first half of the output is the value, second half the gate
  readonly fc2: Projection;

  constructor({ width, hidden }: BlockSize) {
    this.fc1 = new Projection(width, 2 * hidden);
    this.fc2 = new Projection(hidden, width);
  }

  forward(x: Tensor): Tensor {
    const [value, gate] = this.fc1.forward(x).chunk(2, -1) as [Tensor, Tensor];
    return this.fc2.forward(gate.silu().mul(value));
  }
}

export class ParallelBlock {
  readonly norm1: RmsNorm;
  readonly attn: Attention;
  readonly ffn: Mlp;
  readonly layerScale: { readonly gamma: Tensor };

  constructor(size: BlockSize) {
    this.norm1 = new RmsNorm(size.width);
    this.attn = new Attention(size.width, size.heads);
    this.ffn = new Mlp(size);
    this.layerScale = { gamma: parameter([size.width]) };
  }

  /** x: [B, N, D] -> [B, N, D] */
  forward(x: Tensor, places: TokenPlaces): Tensor {
    const normed = this.norm1.forward(x);
    const change = this.attn.forward(normed, places).add(this.ffn.forward(normed));
    return x.add(change.mul(this.layerScale.gamma));
  }
}
