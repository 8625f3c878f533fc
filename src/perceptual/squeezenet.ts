// The convolutions of SqueezeNet 1.1 (Iandola 2016), tapped at the seven places LPIPS 0.1 uses.
import { cat, maxPool2d, type Tensor } from "../torch/index.js";
import { convRelu, type Trunk, type Weights } from "./trunk.js";

export const squeezenet: Trunk = {
  channels: [64, 128, 256, 384, 384, 512, 512],
  minimumSize: 17,
  features(weights, pixels) {
    const pool = (x: Tensor) => maxPool2d(x, { kernel: 3, stride: 2, ceilMode: true });
    const fires = (x: Tensor, ...layers: number[]) =>
      layers.reduce((y, layer) => fire(weights, y, `features.${layer}`), x);

    const tap1 = convRelu(weights, pixels, { name: "features.0", stride: 2 });
    const tap2 = fires(pool(tap1), 3, 4);
    const tap3 = fires(pool(tap2), 6, 7);
    const tap4 = fires(pool(tap3), 9);
    const tap5 = fires(tap4, 10);
    const tap6 = fires(tap5, 11);
    const tap7 = fires(tap6, 12);
    return [tap1, tap2, tap3, tap4, tap5, tap6, tap7];
  },
};

/** Squeeze to few channels by 1 x 1, expand by 1 x 1 and 3 x 3 side by side. */
function fire(weights: Weights, x: Tensor, name: string): Tensor {
  const squeezed = convRelu(weights, x, { name: `${name}.squeeze` });
  const expand1 = convRelu(weights, squeezed, { name: `${name}.expand1x1` });
  const expand3 = convRelu(weights, squeezed, { name: `${name}.expand3x3`, padding: 1 });
  return cat([expand1, expand3], 1);
}
