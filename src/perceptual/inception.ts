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
import { type Convolution, convolve, inputOf, type Way } from "./inception-convolution.js";
import { type InceptionProtocol, inceptionInputs } from "./inception-input.js";
import type { Layer, Step } from "./inception-layers.js";
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
  readonly ways?: Ways | undefined;
}

/** `mixed`: planes at first, where there are few channels, then split. */
export type Ways = Way | "mixed";

function waysFor({ device, tf32 }: { device: string; tf32: boolean }): Ways {
  if (device === "cpu") return process.arch === "x64" ? "onednn" : "plain";
  if (!hasKernels(device)) return "plain";
  return tf32 ? "rows" : "planes";
}

export class Inception implements FeatureNetwork {
  readonly #settings: InceptionSettings;
  readonly #weights: InceptionWeights;

  /** Copies the weights. @throws as prepareInceptionWeights() does. */
  constructor(tensors: Weights, settings: InceptionSettings) {
    const { kind, weightsPath: path, device, ways = waysFor(settings) } = settings;
    this.#settings = settings;
    const wayOf = (layer: string): Way => {
      if (ways !== "mixed") return ways;
      return layer.startsWith("Mixed") ? "split" : "planes";
    };
    this.#weights = noGrad(() =>
      scope(() => keep(prepareInceptionWeights(tensors, kind, { path, device, wayOf }))),
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
    let x = input;
    const { steps } = this.#settings.kind;
    for (const [i, step] of steps.entries()) {
      if (needed.every((tap) => found[tap])) break;
      if (step.kind === "tap") found[step.tap] = x.mean([2, 3]);
      else {
        const before = x;
        x = scope(() => this.#run(step, before, steps[i + 1]));
        before.dispose();
      }
    }
    if (taps.includes("logits")) found.logits = this.#logits(found["2048"]!);
    return found;
  }

  /** `next` reads what comes out, and nothing else does. */
  #run(layer: Layer, x: Tensor, next?: Step): Tensor {
    switch (layer.kind) {
      case "conv": {
        const convolution = this.#convolution(layer)!;
        const { tf32 } = this.#settings;
        const then = { layer, tf32, next: this.#convolution(next) };
        return convolve(inputOf(x, convolution), convolution, then);
      }
      case "maxPool":
        return maxPool2d(x, { kernel: 3, stride: layer.stride, padding: layer.padding });
      case "averagePool": {
        const { countPadding: countIncludePad } = this.#settings;
        return avgPool2d(x, { kernel: 3, stride: 1, padding: 1, countIncludePad });
      }
      case "fork": {
        const firsts = layer.branches.map(([first]) => this.#convolution(first));
        const some = firsts.find((convolution) => convolution);
        const input = some && inputOf(x, some); // once for all branches that begin with one
        return cat(
          layer.branches.map((branch, i) =>
            branch.reduce(
              (y, inner, at) => this.#run(inner, y, branch[at + 1]),
              firsts[i] ? input! : x,
            ),
          ),
          1,
        );
      }
    }
  }

  #convolution(layer: Step | undefined): Convolution | undefined {
    return layer?.kind === "conv" ? this.#weights.convolutions[layer.name] : undefined;
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
