// What a frozen network is that scores are computed from: Inception for FID and IS, I3D for FVD. The networks stand
// beside this file; LPIPS, which compares pictures pixel by pixel, is another kind (trunk.ts). Spec section 5.
import type { Tensor } from "../torch/index.js";

/** Places in a network that features are read from: a name in digits is their count of channels. */
export type Tap = "64" | "192" | "768" | "2048" | "logits";

/** Holds its weights until dispose(), outside every scope. Always float32, never a gradient. */
export interface FeatureNetwork {
  /** "inception-2015", "inception-torchvision", "i3d-kinetics-400" */
  readonly name: string;
  /** How pixels become its input, in words: "299 x 299 bilinear as TensorFlow 1, (x - 128) / 128". */
  readonly input: string;
  /** The file it was loaded from; "" for given tensors. */
  readonly weightsPath: string;
  /** Those that the weights cover, shallow to deep. */
  readonly taps: readonly Tap[];
  /** What the weights lack, in words; undefined where they are whole. */
  readonly missing: string | undefined;
  /**
   * Pixels 0..255 (uint8 or any float), Inception [N, 3, H, W], I3D [B, 3, T, H, W] -> features [N, C] by tap.
   * @throws an Error for a tap that the weights do not cover, naming the file and the covered ones.
   */
  forward<T extends Tap>(pixels: Tensor, taps: readonly T[]): Record<T, Tensor>;
  dispose(): void;
}

/** @throws an Error for a tap that a network's weights do not cover. */
export function requireTaps(network: FeatureNetwork, taps: readonly Tap[]): void {
  const lacking = taps.find((tap) => !network.taps.includes(tap));
  if (lacking === undefined) return;
  const file = network.weightsPath || "the given weights";
  const reason = network.missing ? `: missing are ${network.missing}` : "";
  throw new Error(
    `Expected a tap that ${file} covers (${network.taps.join(", ")}) for ${network.name}, ` +
      `received ${lacking}${reason}. Pick one of these, or a complete file.`,
  );
}
