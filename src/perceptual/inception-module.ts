// The FID Inception of 2015 as the TorchScript module that StyleGAN's metrics and clean-fid use (inception-2015-12-05.pt).
// It resizes by itself, as TensorFlow 1 did. Such a file is a program: only for a path that the user names.
import { noGrad, ScriptModule, scope, type Tensor } from "../torch/index.js";
import { type FeatureNetwork, requireTaps, type Tap } from "./feature-network.js";
import { inceptionInputs } from "./inception-input.js";

const smallest = 1e-37; // a probability that is 0 in float32 has no logarithm

export class InceptionModule implements FeatureNetwork {
  readonly name = "inception-2015";
  readonly input = inceptionInputs.tensorflow.title;
  readonly taps: readonly Tap[] = ["2048", "logits"];
  readonly missing = "the taps 64, 192 and 768, which a TorchScript module does not show";
  readonly weightsPath: string;
  readonly #module: ScriptModule;
  readonly #device: string;

  constructor(path: string, options: { protocol?: string; device?: string }) {
    const { protocol = "tensorflow", device = "cpu" } = options;
    if (protocol !== "tensorflow") {
      throw new Error(
        `Expected the protocol "tensorflow" for the TorchScript module ${path}, which resizes by itself, ` +
          `received "${protocol}". Give it a state dict instead.`,
      );
    }
    this.weightsPath = path;
    this.#device = device;
    this.#module = new ScriptModule(path, device);
  }

  /** See FeatureNetwork. The logits are logarithms of the probabilities: the same but for a constant a picture. */
  forward<T extends Tap>(pixels: Tensor, taps: readonly T[]): Record<T, Tensor> {
    requireTaps(this, taps);
    return noGrad(() =>
      scope(() => {
        const input = pixels.detach().to({ device: this.#device, dtype: "float32" });
        const entries = taps.map((tap) => [tap, this.#run(input, tap === "2048")]);
        return Object.fromEntries(entries) as Record<T, Tensor>;
      }),
    );
  }

  dispose(): void {
    this.#module.dispose();
  }

  /** forward(pixels, return_features, use_fp16, no_output_bias) */
  #run(pixels: Tensor, wantsFeatures: boolean): Tensor {
    const output = this.#module.run("forward", pixels, wantsFeatures, false, true);
    return wantsFeatures ? output : output.clamp(smallest).log();
  }
}
