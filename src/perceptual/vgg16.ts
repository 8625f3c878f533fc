// The convolutions of VGG16 (Simonyan and Zisserman 2014), tapped after the last ReLU of each stage:
// relu1_2, relu2_2, relu3_3, relu4_3, relu5_3.
import { maxPool2d, type Tensor } from "../torch/index.js";
import { convRelu, type Trunk } from "./trunk.js";

/**
 * indices of the convolutions in torchvision's `features`; a 2 x 2 max pool stands between stages
 */
export const stages = [
  [0, 2],
  [5, 7],
  [10, 12, 14],
  [17, 19, 21],
  [24, 26, 28],
] as const;

export const vgg16: Trunk = {
  channels: [64, 128, 256, 512, 512],
  minimumSize: 16,
  features(weights, pixels) {
    const taps: Tensor[] = [];
    let x = pixels;
    for (const [stage, layers] of stages.entries()) {
      if (stage > 0) x = maxPool2d(x, { kernel: 2, stride: 2 });
      for (const layer of layers)
        x = convRelu(weights, x, { name: `features.${layer}`, padding: 1 });
      taps.push(x);
    }
    return taps;
  },
};
