// torchvision's ImageNet Inception v3, which the paper's author took for FID and IS: protocol `vitok-paper`, spec
// section 5. Its scores do not compare with those of inception-2015.ts.
import { scope } from "../torch/index.js";
import { Inception } from "./inception.js";
import { inceptionSteps } from "./inception-layers.js";
import type { InceptionKind } from "./inception-weights.js";
import { readWeights } from "./read-weights.js";
import type { Weights } from "./trunk.js";
import { findWeights } from "./weights.js";

const kind: InceptionKind = {
  title: "torchvision's ImageNet Inception",
  classes: 1000,
  steps: inceptionSteps({ lastPool: "average" }),
  hasLogitBias: true,
  file: "inception_v3_google-0cc3c7bd.pth",
};

/** Taps as Inception2015, with 1000 logits. Holds its weights until dispose(), outside every scope. */
export class InceptionTorchvision extends Inception {
  /**
   * From given weights, torchvision's state dict. Its transform_input is not applied; average pools count padding.
   * @throws an Error for the FID Inception, for other shapes, and where not one tap is covered.
   */
  constructor(
    weights: Weights,
    options: { device?: string; tf32?: boolean; weightsPath?: string } = {},
  ) {
    const { device = "cpu", weightsPath = "", tf32 = false } = options;
    const name = "inception-torchvision";
    const protocol = "align-corners";
    super(weights, { name, kind, protocol, countPadding: true, weightsPath, device, tf32 });
  }

  /** From a file, a state dict or safetensors, by default the one that weights.ts finds. */
  static load(
    options: { path?: string; device?: string; tf32?: boolean } = {},
  ): InceptionTorchvision {
    const path = options.path ?? findWeights("inception-torchvision");
    return scope(
      () => new InceptionTorchvision(readWeights(path), { ...options, weightsPath: path }),
    );
  }
}
