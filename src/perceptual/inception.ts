// Inception v3 as a frozen feature network: runs the table of inception-layers.ts on prepared weights. Which of the two
// published networks it is, inception-2015.ts and inception-torchvision.ts say.
import {
  autocast,
  avgPool2d,
  cat,
  hasKernels,
  keep,
  linear,
  maxPool2d,
  noGrad,
  scope,
  type Tensor,
} from "../torch/index.js";
import { type FeatureNetwork, requireTaps, type Tap } from "./feature-network.js";
import {
  convolve,
  type SharedConvolution,
  sharedConvolutions,
  type Way,
} from "./inception-convolution.js";
import { type InceptionProtocol, inceptionInputs } from "./inception-input.js";
import type { Layer } from "./inception-layers.js";
import {
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
  /** For checks and benchmarks: how it is computed. */
  readonly way?: Way | undefined;
}

function wayFor({ device, tf32 }: { device: string; tf32: boolean }): Way {
  if (device === "cpu") return process.arch === "x64" ? "onednn" : "plain";
  if (!hasKernels(device)) return "plain";
  return tf32 ? "rows" : "planes";
}

export class Inception implements FeatureNetwork {
  readonly #settings: InceptionSettings;
  readonly #way: Way;
  readonly #weights: InceptionWeights;
  readonly #shared: ReadonlyMap<Layer, SharedConvolution>;

  /** Copies the weights. @throws as prepareInceptionWeights() does. */
  constructor(tensors: Weights, settings: InceptionSettings) {
    const { kind, weightsPath: path, device, way = wayFor(settings) } = settings;
    this.#settings = settings;
    this.#way = way;
    const { weights, shared } = noGrad(() =>
      scope(() => {
        const weights = prepareInceptionWeights(tensors, kind, { path, device, way });
        const hasKernels = way === "rows" || way === "planes";
        const shared = hasKernels
          ? sharedConvolutions(kind.steps, { ...weights, way })
          : new Map<Layer, SharedConvolution>();
        return keep({ weights, shared });
      }),
    );
    this.#weights = weights;
    this.#shared = shared;
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
    const products = [...Object.values(convolutions), ...this.#shared.values()];
    const all = [...products, ...(logits ? [logits] : [])];
    for (const { weight, bias } of all) {
      weight.dispose();
      bias?.dispose();
    }
  }

  /** Runs no further than the deepest tap that is asked for, and frees each activation after its last use. */
  #features(input: Tensor, taps: readonly Tap[]): Partial<Record<Tap, Tensor>> {
    const found: Partial<Record<Tap, Tensor>> = {};
    const needed = taps.map((tap) => (tap === "logits" ? "2048" : tap));
    let x = input;
    const { steps } = this.#settings.kind;
    for (const step of steps) {
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
    const { tf32, countPadding: countIncludePad } = this.#settings;
    const way = this.#way;
    switch (layer.kind) {
      case "conv":
        return convolve(x, this.#weights.convolutions[layer.name]!, { layer, way, tf32 });
      case "maxPool":
        return maxPool2d(x, { kernel: 3, stride: layer.stride, padding: layer.padding });
      case "averagePool":
        return avgPool2d(x, { kernel: 3, stride: 1, padding: 1, countIncludePad });
      case "fork": {
        const run = (y: Tensor, inner: Layer) => this.#run(inner, y);
        const begun = this.#begin(layer, x);
        const ends = layer.branches.map((branch, i) => {
          const start = begun.get(i);
          return start ? branch.slice(1).reduce(run, start) : branch.reduce(run, x);
        });
        return cat(ends, 1);
      }
    }
  }

  /** What the first layers of a fork's branches give, by branch, as far as one product makes them. */
  #begin(fork: Layer, x: Tensor): Map<number, Tensor> {
    const shared = this.#shared.get(fork);
    if (!shared) return new Map();
    const { tf32 } = this.#settings;
    const { layer, widths } = shared;
    const parts = convolve(x, shared, { layer, way: this.#way, tf32 }).split(
      [...widths.values()],
      1,
    );
    return new Map([...widths.keys()].map((branch, i) => [branch, parts[i]!]));
  }

  /** In float64, which TensorFloat-32, a switch of the whole process, cannot touch. */
  #logits(features: Tensor): Tensor {
    const { weight, bias } = this.#weights.logits!;
    return linear(features.to({ dtype: "float64" }), weight, bias).to({ dtype: "float32" });
  }
}

function requirePictures(pixels: Tensor): void {
  if (pixels.ndim === 4 && pixels.shape[1] === 3 && pixels.numel > 0) return;
  throw new Error(
    `Expected pixels [N, 3, H, W] from 0 to 255 for Inception, received [${pixels.shape}]. ` +
      "Give it the frames of a clip as pictures.",
  );
}
