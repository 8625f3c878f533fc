// The convolutions of AlexNet in its one-tower form (Krizhevsky 2014), tapped after each ReLU.
import { maxPool2d } from "../torch/index.js";
import { convRelu, type Trunk } from "./trunk.js";

export const alexnet: Trunk = {
  channels: [64, 192, 384, 256, 256],
  minimumSize: 31,
  features(weights, pixels) {
    const pool = { kernel: 3, stride: 2 };
    const relu1 = convRelu(weights, pixels, { name: "features.0", stride: 4, padding: 2 });
    const relu2 = convRelu(weights, maxPool2d(relu1, pool), { name: "features.3", padding: 2 });
    const relu3 = convRelu(weights, maxPool2d(relu2, pool), { name: "features.6", padding: 1 });
    const relu4 = convRelu(weights, relu3, { name: "features.8", padding: 1 });
    const relu5 = convRelu(weights, relu4, { name: "features.10", padding: 1 });
    return [relu1, relu2, relu3, relu4, relu5];
  },
};
