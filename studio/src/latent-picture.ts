// A latent as a picture: one colour a token, laid over the frame it stands for.
import { principalColours } from "./scores.js";
import type { Result } from "./session.js";

/** Tokens as squares over the picture; a code without places is laid out row by row. */
export function latentPicture({ originals, latents }: Result, frame: number): ImageData {
  const isByFrame = latents.length === originals.length;
  const { tokens, grid, mean } = latents[isByFrame ? frame : 0]!;
  const [t, h, w] = grid;
  const hasPlaces = tokens === t * h * w;
  const columns = hasPlaces ? w : Math.ceil(Math.sqrt(tokens));
  const rows = hasPlaces ? h : Math.ceil(tokens / columns);
  const slice = hasPlaces && !isByFrame ? Math.floor((frame * t) / originals.length) : 0;
  const colours = principalColours(mean, tokens);
  const { width, height } = originals[frame]!;
  const picture = new ImageData(width, height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const row = slice * rows + Math.floor((y * rows) / height);
      const token = row * columns + Math.floor((x * columns) / width);
      const at = 4 * (y * width + x);
      const colour = token < tokens ? colours.subarray(3 * token, 3 * token + 3) : [128, 128, 128];
      picture.data.set(colour, at);
      picture.data[at + 3] = 255;
    }
  return picture;
}
