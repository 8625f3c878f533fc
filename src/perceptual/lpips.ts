// LPIPS 0.1 (Zhang 2018, arXiv 1801.03924): distance of two pictures in the features of a frozen
// network. The paper's perceptual loss (section 2, VGG16) and one of its metrics.
import { readPth } from "../formats/pth.js";
import { readSafetensors } from "../nn/safetensors.js";
import { call, type DType, keep, noGrad, scope, Tensor } from "../torch/index.js";
import { alexnet } from "./alexnet.js";
import { foldFrames } from "./frames.js";
import { fusedDistance, normaliseFused, suitsFusedVgg16, toChannelsLast } from "./fused-vgg16.js";
import { squeezenet } from "./squeezenet.js";
import type { Trunk, Weights } from "./trunk.js";
import { vgg16 } from "./vgg16.js";
import { findWeights, type WeightName } from "./weights.js";

export type TrunkName = "vgg" | "alex" | "squeeze";

const trunks: Record<TrunkName, { trunk: Trunk; weights: WeightName; heads: WeightName }> = {
  vgg: { trunk: vgg16, weights: "vgg16", heads: "lpips-vgg" },
  alex: { trunk: alexnet, weights: "alexnet", heads: "lpips-alex" },
  squeeze: { trunk: squeezenet, weights: "squeezenet", heads: "lpips-squeeze" },
};

/** ImageNet's mean and deviation, moved from [0, 1] to [-1, 1] and rounded as LPIPS 0.1 does. */
const imagenet = { mean: [-0.03, -0.088, -0.188], deviation: [0.458, 0.448, 0.45] };

export interface LpipsOptions {
  readonly trunk?: TrunkName;
  /** "cpu" or "cuda:0" */
  readonly device?: string;
  /** of the convolutions; what follows them is float32 always */
  readonly dtype?: DType;
  /**
   * Whether a GPU will multiply float32 in TensorFloat-32, as the process has set it; by default it is taken to. Only the layout
   * follows: without, each channel lies by itself, with which cuDNN is up to twice as fast (docs/log.md).
   */
  readonly tf32?: boolean;
}

/** What a network is made of; float32 but for the trunk. */
interface Frozen {
  readonly trunk: Weights;
  /** [1, C, 1, 1], one a tap */
  readonly heads: readonly Tensor[];
  /** [1, 3, 1, 1] */
  readonly shift: Tensor;
  readonly scale: Tensor;
}

/** Holds its weights until dispose(), outside every scope. */
export class Lpips {
  readonly #trunk: Trunk;
  readonly #dtype: DType;
  readonly #frozen: Frozen;

  /**
   * `weights`: torchvision's state dict of the trunk; `heads`: `lin<i>.model.1.weight` of shape
   * [1, C, 1, 1]. Both are copied to `device`, without gradient.
   */
  constructor(weights: Weights, heads: Weights, options: LpipsOptions = {}) {
    const { trunk = "vgg", device = "cpu", dtype = "float32", tf32 = true } = options;
    const isTogether = device.startsWith("cuda") && (dtype !== "float32" || tf32);
    this.#trunk = trunks[trunk].trunk;
    this.#dtype = dtype;
    const { channels } = this.#trunk;
    this.#frozen = scope(() =>
      keep({
        trunk: Object.fromEntries(
          Object.entries(weights)
            .filter(([name]) => name.startsWith("features."))
            .map(([name, tensor]) => [name, freeze(tensor, { dtype, device, isTogether })]),
        ),
        heads: channels.map((_, i) =>
          freeze(requireHead(heads, { tap: i, channels }), {
            dtype: "float32",
            device,
            isTogether,
          }),
        ),
        shift: Tensor.from(imagenet.mean, [1, 3, 1, 1], { device }),
        scale: Tensor.from(imagenet.deviation, [1, 3, 1, 1], { device }),
      }),
    );
  }

  /** Finds the files of a trunk (see weights.ts) and loads them. Throws where one is missing. */
  static load(options: LpipsOptions = {}): Lpips {
    const { weights, heads } = trunks[options.trunk ?? "vgg"];
    const paths = [findWeights(weights), findWeights(heads)] as const;
    return scope(() => {
      const [trunkWeights, headWeights] = paths.map(readWeights);
      return new Lpips(trunkWeights!, headWeights!, options);
    });
  }

  /**
   * Distance of `recon` from `target`, one number a picture: [B, 3, H, W] in [-1, 1] -> [B]; of
   * clips [B, 3, T, H, W], one a frame: [B * T], clip by clip. Float32. Gradients reach `recon`
   * only.
   */
  forward(recon: Tensor, target: Tensor): Tensor {
    return scope(() => {
      const { trunk, heads } = this.#frozen;
      const [x, y] = [this.#pictures(recon), this.#pictures(target.detach())];
      if (this.#trunk === vgg16 && suitsFusedVgg16(x, trunk) && suitsFusedVgg16(y, trunk)) {
        const normalised = [x, y].map((it) => normaliseFused(it, imagenet, this.#dtype));
        return fusedDistance(trunk, heads, normalised as [Tensor, Tensor]);
      }
      const reconFeatures = this.#features(x);
      const targetFeatures = noGrad(() => this.#features(y));
      const terms = reconFeatures.map((feature, i) =>
        tapDistance(feature, targetFeatures[i]!, this.#frozen.heads[i]!),
      );
      return terms.reduce((total, term) => total.add(term));
    });
  }

  dispose(): void {
    const { trunk, heads, shift, scale } = this.#frozen;
    for (const tensor of [...Object.values(trunk), ...heads, shift, scale]) tensor.dispose();
  }

  #features(pictures: Tensor): Tensor[] {
    const { trunk, shift, scale } = this.#frozen;
    const normalised = pictures.sub(shift).div(scale);
    return this.#trunk.features(trunk, normalised.to({ dtype: this.#dtype }));
  }

  /** Pixels as pictures [B, 3, H, W], float32. */
  #pictures(pixels: Tensor): Tensor {
    const pictures = foldFrames(pixels);
    const { minimumSize } = this.#trunk;
    const [, channels, height = 0, width = 0] = pictures.shape;
    if (pictures.ndim !== 4 || channels !== 3 || Math.min(height, width) < minimumSize) {
      throw new Error(
        "Expected pixels [B, 3, H, W] or [B, 3, T, H, W] of " +
          `at least ${minimumSize} x ${minimumSize} for LPIPS, received [${pixels.shape}]. ` +
          "Use larger crops, or losses.lpips: 0.",
      );
    }
    return pictures.to({ dtype: "float32" });
  }
}

/** Weighted squared difference of unit features: [B, C, h, w] twice, head [1, C, 1, 1] -> [B]. */
function tapDistance(recon: Tensor, target: Tensor, head: Tensor): Tensor {
  const difference = unit(recon).sub(unit(target));
  return difference.square().mul(head).sum([1]).mean([1, 2]);
}

const tiny = 1e-10;

/**
 * x / (|x| + 1e-10) over the channels, in float32. Where a pixel's features are all 0 the norm has
 * no gradient and the formula gives NaN; such a pixel is divided by infinity instead: its value and
 * its gradient are 0.
 */
function unit(feature: Tensor): Tensor {
  const x = feature.to({ dtype: "float32" });
  const energy = x.square().sum([1], true); // [B, 1, h, w]
  const safe = call("masked_fill.Scalar", energy, energy.eq(0), Number.POSITIVE_INFINITY);
  return x.div(safe.sqrt().add(tiny));
}

/** A copy; of a convolution's weights with channels together where that is asked for. */
function freeze(
  tensor: Tensor,
  { isTogether, ...target }: { dtype: DType; device: string; isTogether: boolean },
): Tensor {
  const copy = tensor.detach().to(target).clone();
  return copy.ndim === 4 && isTogether ? toChannelsLast(copy) : copy;
}

function requireHead(
  heads: Weights,
  { tap, channels }: { tap: number; channels: readonly number[] },
): Tensor {
  const name = `lin${tap}.model.1.weight`;
  const shape = [1, channels[tap], 1, 1];
  const head = heads[name];
  if (head?.shape.join() === shape.join()) return head;
  throw new Error(
    `Expected ${name} of shape [${shape}] for the LPIPS heads, ` +
      `received ${head ? `[${head.shape}]` : "none"}. Use version 0.1's heads of that trunk.`,
  );
}

function readWeights(path: string): Record<string, Tensor> {
  return path.endsWith(".safetensors") ? readSafetensors(path) : readPth(path);
}
