// What a frozen feature network for LPIPS is. The three trunks stand beside this file, one each,
// under the parameter names of torchvision's classifiers ("features.0.weight"), whose classifier
// heads are not needed.
import { conv2d, type Tensor } from "../torch/index.js";

export interface Trunk {
  /** channels of each tap, shallow to deep */
  readonly channels: readonly number[];
  /** smallest height and width that leaves a pixel at every tap */
  readonly minimumSize: number;
  /** pixels [B, 3, H, W], normalised as ImageNet -> one activation [B, channels, h, w] a tap */
  features(weights: Weights, pixels: Tensor): Tensor[];
}

export type Weights = Readonly<Record<string, Tensor>>;

/** Convolution `name` of a state dict, then ReLU. */
export function convRelu(
  weights: Weights,
  x: Tensor,
  { name, stride = 1, padding = 0 }: { name: string; stride?: number; padding?: number },
): Tensor {
  const weight = weights[`${name}.weight`];
  const bias = weights[`${name}.bias`];
  if (!weight || !bias) {
    throw new Error(
      `Expected ${name}.weight and ${name}.bias for a perceptual network, ` +
        "received a file without them. Give it torchvision's state dict.",
    );
  }
  return conv2d(x, weight, bias, { stride, padding }).relu();
}
