// The Inception network of FID (Heusel 2017) and of the Inception Score (Salimans 2016): TensorFlow's graph of
// 2015-12-05 as ported to PyTorch. Its average pools do not count padding, the last pool branch is a max pool. Spec section 5.
import { scope } from "../torch/index.js";
import type { FeatureNetwork } from "./feature-network.js";
import { Inception } from "./inception.js";
import type { Way } from "./inception-convolution.js";
import { inceptionSteps } from "./inception-layers.js";
import { InceptionModule } from "./inception-module.js";
import type { InceptionKind } from "./inception-weights.js";
import { isTorchScript, readWeights } from "./read-weights.js";
import type { Weights } from "./trunk.js";
import { findWeights } from "./weights.js";

export interface Inception2015Options {
  /**
   * "tensorflow" (the default) resizes as TensorFlow 1 did, with (x - 128) / 128; "pytorch" as pytorch-fid does,
   * half-pixel, with x / 127.5 - 1.
   */
  readonly protocol?: "tensorflow" | "pytorch";
  /** "cpu" (the default) or "cuda:0" */
  readonly device?: string;
  /** Let a GPU multiply in TensorFloat-32; not by default. */
  readonly tf32?: boolean;
  /** For checks and benchmarks: how it is computed. */
  readonly way?: Way;
}

const kind: InceptionKind = {
  title: "the FID Inception of 2015",
  classes: 1008,
  steps: inceptionSteps({ lastPool: "max" }),
  hasLogitBias: false, // the Inception Score is without
  file: "pt_inception-2015-12-05-6726825d.pth",
};

/**
 * Taps 64 and 192 (the first two max pools), 768 (Mixed_6e), 2048 (the last pool) and the 1008 logits without their
 * bias, as far as the weights go. Holds its weights until dispose(), outside every scope.
 */
export class Inception2015 extends Inception {
  /**
   * From given weights: the port's state dict, with batch norm or folded.
   * @throws an Error for torchvision's ImageNet Inception, for other shapes, and where not one tap is covered.
   */
  constructor(weights: Weights, options: Inception2015Options & { weightsPath?: string } = {}) {
    const { protocol = "tensorflow", device = "cpu", weightsPath = "", tf32 = false } = options;
    const name = "inception-2015";
    const { way } = options;
    super(weights, { name, kind, protocol, countPadding: false, weightsPath, device, tf32, way });
  }

  /**
   * From a file, by default the one that weights.ts finds: a state dict or safetensors. A TorchScript module is a
   * program: only where `path` names it.
   */
  static load(options: Inception2015Options & { path?: string } = {}): FeatureNetwork {
    const path = options.path ?? findWeights("inception-2015");
    if (!isTorchScript(path))
      return scope(() => new Inception2015(readWeights(path), { ...options, weightsPath: path }));
    if (options.path !== undefined) return new InceptionModule(path, options);
    throw new Error(
      `Expected a state dict for ${kind.title}, received ${path}, a TorchScript module, which is a program. ` +
        "Name its path if you trust it, or fetch the state dict: npx vitok doctor tells how.",
    );
  }
}
