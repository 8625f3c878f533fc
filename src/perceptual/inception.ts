// Inception v3 as a frozen feature network: runs the table of inception-layers.ts on prepared weights. Which of the two
// published networks it is, inception-2015.ts and inception-torchvision.ts say.
import {
  autocast,
  avgPool2d,
  call,
  cat,
  keep,
  linear,
  maxPool2d,
  noGrad,
  scope,
  type Tensor,
} from "../torch/index.js";
import { type FeatureNetwork, requireTaps, type Tap } from "./feature-network.js";
import { type InceptionProtocol, inceptionInputs } from "./inception-input.js";
import type { ConvLayer, Layer } from "./inception-layers.js";
import {
  type Convolution,
  type InceptionKind,
  type InceptionWeights,
  prepareInceptionWeights,
} from "./inception-weights.js";
import type { Weights } from "./trunk.js";

export interface InceptionSettings {
  readonly name: string;
  readonly kind: InceptionKind;
  readonly protocol: InceptionProtocol;
  /** Whether average pools divide by 9 at the border too. */
  readonly countPadding: boolean;
  readonly weightsPath: string;
  /** "cpu" or "cuda:0" */
  readonly device: string;
  /** Whether a GPU may multiply in TensorFloat-32. */
  readonly tf32: boolean;
}

export class Inception implements FeatureNetwork {
  readonly #settings: InceptionSettings;
  readonly #weights: InceptionWeights;

  /** Copies the weights. @throws as prepareInceptionWeights() does. */
  constructor(tensors: Weights, settings: InceptionSettings) {
    const { kind, weightsPath: path, device } = settings;
    this.#settings = settings;
    this.#weights = noGrad(() =>
      scope(() => keep(prepareInceptionWeights(tensors, kind, { path, device }))),
    );
  }

  get name(): string {
    return this.#settings.name;
  }
  get input(): string {
    return inceptionInputs[this.#settings.protocol].title;
  }
  get weightsPath(): string {
    return this.#settings.weightsPath;
  }
  get taps(): readonly Tap[] {
    return this.#weights.taps;
  }
  get missing(): string | undefined {
    return this.#weights.missing;
  }

  /** See FeatureNetwork. Activations take about 12 MB a picture at their widest. */
  forward<T extends Tap>(pixels: Tensor, taps: readonly T[]): Record<T, Tensor> {
    requirePictures(pixels);
    requireTaps(this, taps);
    const { device, protocol } = this.#settings;
    return autocast({ device, dtype: "float32" }, () =>
      noGrad(() =>
        scope(() => {
          const input = scope(() =>
            inceptionInputs[protocol].prepare(pixels.detach().to({ device, dtype: "float32" })),
          );
          const found = this.#features(input, taps);
          return Object.fromEntries(taps.map((tap) => [tap, found[tap]!])) as Record<T, Tensor>;
        }),
      ),
    );
  }

  dispose(): void {
    const { convolutions, logits } = this.#weights;
    const all = [...Object.values(convolutions), ...(logits ? [logits] : [])];
    for (const { weight, bias } of all) {
      weight.dispose();
      bias?.dispose();
    }
  }

  /** Runs no further than the deepest tap that is asked for, and frees each activation after its last use. */
  #features(input: Tensor, taps: readonly Tap[]): Partial<Record<Tap, Tensor>> {
    const found: Partial<Record<Tap, Tensor>> = {};
    const needed = taps.map((tap) => (tap === "logits" ? "2048" : tap));
    let x = call("contiguous", input, channelsLast);
    for (const step of this.#settings.kind.steps) {
      if (needed.every((tap) => found[tap])) break;
      if (step.kind === "tap") found[step.tap] = x.mean([2, 3]);
      else {
        const before = x;
        x = scope(() => this.#run(step, before));
        before.dispose();
      }
    }
    if (taps.includes("logits")) found.logits = this.#logits(found["2048"]!);
    return found;
  }

  #run(layer: Layer, x: Tensor): Tensor {
    switch (layer.kind) {
      case "conv":
        return convRelu(x, this.#weights.convolutions[layer.name]!, {
          ...layer,
          tf32: this.#settings.tf32,
        });
      case "maxPool":
        return maxPool2d(x, { kernel: 3, stride: layer.stride, padding: layer.padding });
      case "averagePool": {
        const { countPadding: countIncludePad } = this.#settings;
        return avgPool2d(x, { kernel: 3, stride: 1, padding: 1, countIncludePad });
      }
      case "fork": {
        const run = (y: Tensor, inner: Layer) => this.#run(inner, y);
        return cat(
          layer.branches.map((branch) => branch.reduce(run, x)),
          1,
        );
      }
    }
  }

  /** In float64, which TensorFloat-32, a switch of the whole process, cannot touch. */
  #logits(features: Tensor): Tensor {
    const { weight, bias } = this.#weights.logits!;
    return linear(features.to({ dtype: "float64" }), weight, bias).to({ dtype: "float32" });
  }
}

const channelsLast = 2; // c10::MemoryFormat; three times as fast as the default on a CPU

/** oneDNN has both in one pass for plain inference on a CPU; elsewhere the call that is told about TensorFloat-32. */
function convRelu(
  x: Tensor,
  { weight, bias }: Convolution,
  layer: ConvLayer & { tf32: boolean },
): Tensor {
  const stride = [layer.stride, layer.stride];
  const dilation = [1, 1];
  const { padding } = layer;
  if (x.device === "cpu" && process.arch === "x64") {
    const fused = "mkldnn::_convolution_pointwise";
    return call(fused, x, weight, bias, padding, stride, dilation, 1, "relu", [], "");
  }
  const switches = { benchmark: false, deterministic: false, cudnn: true, tf32: layer.tf32 };
  const outputPadding = [0, 0];
  const geometry = [stride, padding, dilation, false, outputPadding, 1] as const;
  const output = call("_convolution", x, weight, bias, ...geometry, ...Object.values(switches));
  return call("relu_", output);
}

function requirePictures(pixels: Tensor): void {
  if (pixels.ndim === 4 && pixels.shape[1] === 3 && pixels.numel > 0) return;
  throw new Error(
    `Expected pixels [N, 3, H, W] from 0 to 255 for Inception, received [${pixels.shape}]. ` +
      "Give it the frames of a clip as pictures.",
  );
}
