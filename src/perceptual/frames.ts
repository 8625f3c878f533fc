// Frozen picture networks and picture metrics see a clip as its frames.
import type { Tensor } from "../torch/index.js";

/** [B, C, T, H, W] -> [B * T, C, H, W], clip by clip; pictures [B, C, H, W] as they are. */
export function foldFrames(pixels: Tensor): Tensor {
  if (pixels.ndim !== 5) return pixels;
  const [batch = 0, channels = 0, frames = 0, height = 0, width = 0] = pixels.shape;
  return pixels.permute([0, 2, 1, 3, 4]).reshape([batch * frames, channels, height, width]);
}
