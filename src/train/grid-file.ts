// A grid of pictures or clips that a run looks back at: a PNG, and for clips an animation beside it.
import { writeFileAtomic } from "../atomic-file.js";
import { encodeAnimation } from "../media/animation.js";
import { type Clip, frameOf } from "../media/clip.js";
import { tile, writeImage } from "../media/image.js";
import type { Evaluation } from "./recipe.js";

/** Writes `path`, a PNG of the first frames, and `.webp` of the same name where they move. Returns the picture. */
export async function writeGrid(
  path: string,
  { clips, columns }: NonNullable<Evaluation["grid"]>,
  fps: number,
): Promise<Clip> {
  const sheet = tile(clips, columns);
  const picture = frameOf(sheet, 0);
  await writeImage(path, picture);
  if (sheet.frames > 1)
    writeFileAtomic(
      path.replace(/png$/, "webp"),
      await encodeAnimation(sheet, { fps, quality: 90 }),
    );
  return picture;
}
