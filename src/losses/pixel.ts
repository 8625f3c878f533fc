// Pixel losses (paper, section 2): means over all elements, in float32 whatever the autocast.
// recon and pixels [B, 3, T, H, W] in [-1, 1] -> one number; the pixels may be bytes, uint8.
import { toPixels } from "../nn/fused/pixels.js";
import { squaredError } from "../nn/fused/squared-error.js";
import { call, scope, type Tensor } from "../torch/index.js";

const meanReduction = 1; // at::Reduction::Mean

const float32 = (x: Tensor): Tensor => toPixels(x).to({ dtype: "float32" });

/** Mean squared error. */
export function mse(recon: Tensor, pixels: Tensor): Tensor {
  requireSameShape(recon, pixels);
  const isBytes = pixels.dtype === "uint8"; // which it reads as they are
  return scope(() => squaredError(float32(recon), isBytes ? pixels : float32(pixels)));
}

/** Mean absolute error. */
export function l1(recon: Tensor, pixels: Tensor): Tensor {
  requireSameShape(recon, pixels);
  return scope(() => call("l1_loss", float32(recon), float32(pixels), meanReduction));
}

/**
 * Squared below `beta` (0.05, as the authors' code), linear above: d^2 / (2 beta), |d| - beta / 2.
 */
export function smoothL1(recon: Tensor, pixels: Tensor, { beta = 0.05 } = {}): Tensor {
  requireSameShape(recon, pixels);
  return scope(() => call("smooth_l1_loss", float32(recon), float32(pixels), meanReduction, beta));
}

/** Broadcasting would hide a wrong shape in a plausible number. */
function requireSameShape(recon: Tensor, pixels: Tensor): void {
  if (recon.shape.join() === pixels.shape.join()) return;
  throw new Error(
    `Expected a reconstruction of shape [${pixels.shape}] for the pixel loss, ` +
      `received [${recon.shape}]. Crop or pad one of them.`,
  );
}
