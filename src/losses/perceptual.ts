// The perceptual loss: LPIPS averaged over pictures; of clips, over every frame (paper, section 2).
import { toPixels } from "../nn/fused/pixels.js";
import type { Lpips } from "../perceptual/lpips.js";
import { scope, type Tensor } from "../torch/index.js";

/**
 * recon and pixels [B, 3, H, W] or [B, 3, T, H, W] in [-1, 1] -> one number, float32; gradient to
 * `recon` only. The pixels may be bytes, uint8.
 */
export function perceptual(lpips: Lpips, recon: Tensor, pixels: Tensor): Tensor {
  return scope(() => lpips.forward(recon, toPixels(pixels)).mean());
}
