// The layers of diffusers' AutoencoderKL, the convolutional auto-encoder of Stable Diffusion and Flux: residual blocks,
// down- and upsampling, one attention in the middle. Properties carry its checkpoints' names. Model: autoencoder-kl.ts.
// B batch, C channels, H W pixels.
import { Linear } from "../nn/linear.js";
import { parameter } from "../nn/parameters.js";
import {
  conv2d,
  groupNorm,
  padConstant,
  scaledDotProductAttention,
  type Tensor,
  upsampleNearest,
} from "../torch/index.js";

export class Convolution {
  readonly weight: Tensor; // [out, in, side, side]
  readonly bias: Tensor;

  constructor(
    inChannels: number,
    outChannels: number,
    private readonly side: 1 | 3 = 3,
  ) {
    this.weight = parameter([outChannels, inChannels, side, side]);
    this.bias = parameter([outChannels]);
  }

  /** [B, C, H, W] -> [B, C', H, W] */
  forward(x: Tensor): Tensor {
    return conv2d(x, this.weight, this.bias, { padding: (this.side - 1) / 2 });
  }

  /** Halves the size; the border is filled up at the right and the bottom only. */
  halve(x: Tensor): Tensor {
    return conv2d(padConstant(x, [0, 1, 0, 1]), this.weight, this.bias, { stride: 2 });
  }
}

export class GroupNorm {
  readonly weight: Tensor;
  readonly bias: Tensor;

  constructor(
    channels: number,
    private readonly groups: number,
  ) {
    this.weight = parameter([channels]);
    this.bias = parameter([channels]);
  }

  forward(x: Tensor): Tensor {
    return groupNorm(x, this.groups, this.weight, this.bias, 1e-6);
  }
}

export class Resnet {
  readonly norm1: GroupNorm;
  readonly conv1: Convolution;
  readonly norm2: GroupNorm;
  readonly conv2: Convolution;
  readonly convShortcut: Convolution | undefined;

  constructor(inChannels: number, outChannels: number, groups: number) {
    this.norm1 = new GroupNorm(inChannels, groups);
    this.conv1 = new Convolution(inChannels, outChannels);
    this.norm2 = new GroupNorm(outChannels, groups);
    this.conv2 = new Convolution(outChannels, outChannels);
    if (inChannels !== outChannels) this.convShortcut = new Convolution(inChannels, outChannels, 1);
  }

  forward(x: Tensor): Tensor {
    const h = this.conv1.forward(this.norm1.forward(x).silu());
    const change = this.conv2.forward(this.norm2.forward(h).silu());
    return (this.convShortcut?.forward(x) ?? x).add(change);
  }
}

/** Every pixel attends to every pixel, with one head. */
class Attention {
  readonly groupNorm: GroupNorm;
  readonly toQ: Linear;
  readonly toK: Linear;
  readonly toV: Linear;
  readonly toOut: readonly [Linear];

  constructor(channels: number, groups: number) {
    this.groupNorm = new GroupNorm(channels, groups);
    const project = () => new Linear(channels, channels);
    [this.toQ, this.toK, this.toV] = [project(), project(), project()];
    this.toOut = [project()];
  }

  forward(x: Tensor): Tensor {
    const tokens = this.groupNorm.forward(x).flatten(2).transpose(1, 2).unsqueeze(1); // [B, 1, HW, C]
    const [q, k, v] = [this.toQ, this.toK, this.toV].map((part) => part.forward(tokens)) as [
      ...[Tensor, Tensor, Tensor],
    ];
    const attended = this.toOut[0].forward(scaledDotProductAttention(q, k, v));
    return x.add(attended.squeeze(1).transpose(1, 2).reshape(x.shape));
  }
}

export class MidBlock {
  readonly resnets: readonly [Resnet, Resnet];
  readonly attentions: readonly Attention[];

  constructor(channels: number, groups: number, hasAttention: boolean) {
    const resnet = () => new Resnet(channels, channels, groups);
    this.resnets = [resnet(), resnet()];
    this.attentions = hasAttention ? [new Attention(channels, groups)] : [];
  }

  forward(x: Tensor): Tensor {
    x = this.resnets[0].forward(x);
    for (const attention of this.attentions) x = attention.forward(x);
    return this.resnets[1].forward(x);
  }
}

export interface StageOptions {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly layers: number;
  readonly groups: number;
  /** The last stage keeps its size. */
  readonly isLast: boolean;
}

function resnetsOf({ inChannels, outChannels, layers, groups }: StageOptions): Resnet[] {
  return Array.from(
    { length: layers },
    (_, i) => new Resnet(i === 0 ? inChannels : outChannels, outChannels, groups),
  );
}

export class DownStage {
  readonly resnets: readonly Resnet[];
  readonly downsamplers: readonly { readonly conv: Convolution }[];

  constructor(options: StageOptions) {
    this.resnets = resnetsOf(options);
    const { outChannels, isLast } = options;
    this.downsamplers = isLast ? [] : [{ conv: new Convolution(outChannels, outChannels) }];
  }

  forward(x: Tensor): Tensor {
    for (const resnet of this.resnets) x = resnet.forward(x);
    for (const { conv } of this.downsamplers) x = conv.halve(x);
    return x;
  }
}

export class UpStage {
  readonly resnets: readonly Resnet[];
  readonly upsamplers: readonly { readonly conv: Convolution }[];

  constructor(options: StageOptions) {
    this.resnets = resnetsOf(options);
    const { outChannels, isLast } = options;
    this.upsamplers = isLast ? [] : [{ conv: new Convolution(outChannels, outChannels) }];
  }

  forward(x: Tensor): Tensor {
    for (const resnet of this.resnets) x = resnet.forward(x);
    for (const { conv } of this.upsamplers) x = conv.forward(upsampleNearest(x, 2));
    return x;
  }
}
