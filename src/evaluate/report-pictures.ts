// Clips as the report shows them: pictures losslessly inside the page, videos as animations, and differences.

import sharp from "sharp";
import { encodeAnimation } from "../media/animation.js";
import { type Clip, frameOf } from "../media/clip.js";

/** The middle frame as a `data:` address; lossless, since the page is about small differences. */
export async function embed(clip: Clip): Promise<string> {
  const { bytes, width, height } = frameOf(clip, Math.floor(clip.frames / 2));
  const image = sharp(bytes, { raw: { width, height, channels: 3 } });
  const webp = await image.webp({ lossless: true }).toBuffer();
  return `data:image/webp;base64,${webp.toString("base64")}`;
}

/** All frames as the `data:` address of an animation, nearly lossless: a page holds a dozen. */
export async function embedMoving(clip: Clip, fps: number): Promise<string> {
  const webp = await encodeAnimation(clip, { fps, quality: 95 });
  return `data:image/webp;base64,${webp.toString("base64")}`;
}

/** Reconstruction minus original, times `gain`, around mid-grey 128; RangeError where sizes differ. */
export function differenceOf(original: Clip, recon: Clip, gain: number): Clip {
  if (original.bytes.length !== recon.bytes.length || original.width !== recon.width) {
    throw new RangeError(
      `Expected a reconstruction of ${original.height} x ${original.width} pixels, received ` +
        `${recon.height} x ${recon.width}. Crop the original the same way.`,
    );
  }
  // A clamped array rounds and limits to 0..255 as it is written.
  const bytes = new Uint8ClampedArray(original.bytes.length);
  for (let i = 0; i < bytes.length; i++) {
    bytes[i] = 128 + gain * (recon.bytes[i]! - original.bytes[i]!);
  }
  return { ...original, bytes: new Uint8Array(bytes.buffer) };
}
