// StyleGAN2's discriminator (Karras 2020, arXiv 1912.04958) without minibatch statistics and without equalised learning
// rates: Xavier weights instead. Paper: section 2 and stage 2 of table 7; spec section 2. Losses over its logits: adversarial.ts.
// N pictures (a clip's frames are pictures), S pixels a side.
import { Conv2d } from "../nn/conv.js";
import { Linear } from "../nn/linear.js";
import { disposeModel, loadStateDict, moveTo, parameters, stateDict } from "../nn/parameters.js";
import { autocast, call, conv2d, Generator, keep, noGrad, scope, Tensor } from "../torch/index.js";

export interface DiscriminatorOptions {
  /** Share of StyleGAN2's channels; 1 by default. For small recipes. */
  readonly width?: number;
  readonly seed?: number;
  readonly device?: string;
}

export class Discriminator {
  readonly fromRgb: Conv2d;
  readonly blocks: ResidualBlock[];
  readonly final: Conv2d;
  readonly hidden: Linear;
  readonly logit: Linear;
  #blur: Tensor | undefined;

  /** All parameters zero: see create(). `size`: a power of two from 8 to 512. */
  constructor(
    readonly size: number,
    width = 1,
  ) {
    if (!Number.isInteger(Math.log2(size)) || size < 8 || size > 512)
      throw new RangeError(
        `Expected a power of two from 8 to 512 for the discriminator's size, received ${size}.`,
      );
    const sides = Array.from({ length: Math.log2(size) - 2 }, (_, i) => size / 2 ** i); // S, S/2 ... 8
    const last = channelsAt(4, width);
    this.fromRgb = new Conv2d({ from: 3, to: channelsAt(size, width) }, 3, { padding: 1 });
    this.blocks = sides.map(
      (side) => new ResidualBlock(channelsAt(side, width), channelsAt(side / 2, width)),
    );
    this.final = new Conv2d({ from: last, to: last }, 3, { padding: 1 });
    this.hidden = new Linear(last * 16, last);
    this.logit = new Linear(last, 1);
  }

  /** A fresh one: Xavier uniform weights, biases 0. */
  static create(size: number, options: DiscriminatorOptions = {}): Discriminator {
    const { width = 1, seed = 0, device = "cpu" } = options;
    const discriminator = new Discriminator(size, width);
    initialize(discriminator, seed);
    moveTo(discriminator, { device });
    return discriminator;
  }

  /** pixels [N, 3, S, S] in [-1, 1] -> logits [N], float32 whatever the autocast: high means real. */
  forward(pixels: Tensor): Tensor {
    const { size } = this;
    if (pixels.ndim !== 4 || pixels.shape.slice(1).join() !== `3,${size},${size}`)
      throw new TypeError(
        `Expected pixels [N, 3, ${size}, ${size}] for the discriminator, received ${pixels}.`,
      );
    let x = leaky(this.fromRgb.forward(pixels));
    for (const block of this.blocks) x = block.forward(x, this.#blurOn(x.device)); // [N, C, S/2, S/2] ... [N, C, 4, 4]
    x = leaky(this.final.forward(x)).flatten(1);
    x = leaky(this.hidden.forward(x)).to({ dtype: "float32" }); // [N, C]
    return autocast({ device: pixels.device, dtype: "float32" }, () =>
      this.logit.forward(x).squeeze(1),
    );
  }

  /** Its parameters by name, to be saved and put back. */
  get state() {
    return {
      stateDict: () => stateDict(this),
      loadStateDict: (tensors: Readonly<Record<string, Tensor>>) => loadStateDict(this, tensors),
    };
  }

  dispose(): void {
    disposeModel(this);
    this.#blur?.dispose();
    this.#blur = undefined;
  }

  /** [1, 3, 3, 1] / 8 along rows and columns: what keeps a stride from aliasing. [1, 1, 4, 4] */
  #blurOn(device: string): Tensor {
    const line = [1, 3, 3, 1];
    this.#blur ??= keep(
      Tensor.from(
        line.flatMap((a) => line.map((b) => (a * b) / 64)),
        [1, 1, 4, 4],
        { device },
      ),
    );
    return this.#blur;
  }
}

/** Two convolutions that halve the sides, beside a 1x1 one: (residual + skip) / sqrt 2. */
class ResidualBlock {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly skip: Conv2d;

  constructor(from: number, to: number) {
    this.conv1 = new Conv2d({ from, to: from }, 3, { padding: 1 });
    this.conv2 = new Conv2d({ from, to }, 3, { stride: 2 });
    this.skip = new Conv2d({ from, to }, 1, { hasBias: false });
  }

  /** [N, from, S, S] -> [N, to, S/2, S/2] */
  forward(x: Tensor, kernel: Tensor): Tensor {
    const inner = blur(leaky(this.conv1.forward(x)), kernel, { padding: 2 });
    const residual = leaky(this.conv2.forward(inner));
    // A 1x1 convolution of stride 2 reads every second pixel, so only those are blurred.
    const skip = this.skip.forward(blur(x, kernel, { padding: 1, stride: 2 }));
    return residual.add(skip).div(Math.SQRT2);
  }
}

const leaky = (x: Tensor): Tensor => call("leaky_relu", x, 0.2);

/** Every channel by itself with one kernel, zeros around. */
function blur(x: Tensor, kernel: Tensor, options: { padding: number; stride?: number }): Tensor {
  const channels = x.size(1);
  return conv2d(x, kernel.expand([channels, 1, 4, 4]), undefined, { ...options, groups: channels });
}

/** StyleGAN2's: 32 at 512 pixels a side, 64 at 256, 128 at 128, 256 at 64, 512 below. */
function channelsAt(side: number, width: number): number {
  return Math.max(1, Math.round(Math.min(512, 16384 / side) * width));
}

function initialize(discriminator: Discriminator, seed: number): void {
  const generator = new Generator(seed);
  noGrad(() => {
    for (const [name, tensor] of parameters(discriminator)) {
      if (name.endsWith(".bias")) continue; // zero as it is
      const [to, from, ...kernel] = tensor.shape as [number, number, ...number[]];
      const area = kernel.reduce((product, side) => product * side, 1);
      const bound = Math.sqrt(6 / ((to + from) * area));
      scope(() => call("uniform_", tensor, -bound, bound, generator.handle));
    }
  });
}
