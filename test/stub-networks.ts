// Feature networks of a few numbers for tests of what is done with features: averages of regions, mixed by a formula.
// The real ones are tested beside their files, in src/perceptual.

import type { FeatureNetwork, Tap } from "../src/perceptual/feature-network.js";
import { foldFrames } from "../src/perceptual/frames.js";
import { call, scope, Tensor } from "../src/torch/index.js";

/** In the place of Inception: tap 64, and 10 logits. */
export const stubInception: FeatureNetwork = stub("stub-inception", { "64": 64, logits: 10 });

/** In the place of I3D: 6 logits of a clip. */
export const stubI3d: FeatureNetwork = stub("stub-i3d", { logits: 6 });

function stub(name: string, widths: Partial<Record<Tap, number>>): FeatureNetwork {
  return {
    name,
    input: "averages of 4 x 4 regions",
    weightsPath: "",
    taps: Object.keys(widths) as Tap[],
    missing: undefined,
    forward: (pixels, taps) =>
      scope(() => {
        const regions = averages(pixels.to({ dtype: "float32" }));
        const features = taps.map((tap) => [tap, regions.matmul(mixture(widths[tap]!))]);
        return Object.fromEntries(features);
      }),
    dispose() {},
  };
}

/** [N, 3, H, W] or [N, 3, T, H, W] -> [N, 48]; of clips the mean over frames. */
function averages(pixels: Tensor): Tensor {
  const pooled = call("adaptive_avg_pool2d", foldFrames(pixels), [4, 4]).reshape([-1, 48]);
  return pixels.ndim === 4 ? pooled : pooled.reshape([pixels.size(0), pixels.size(2), 48]).mean(1);
}

/** [48, width] */
function mixture(width: number): Tensor {
  const values = Float32Array.from({ length: 48 * width }, (_, i) => Math.sin(1.7 * i + 0.3) / 16);
  return Tensor.from(values, [48, width]);
}
