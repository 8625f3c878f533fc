// The pictures of a report: some spread evenly over the set, and both ends by PSNR. They are made again when all files are
// scored, so that none is kept in memory or in the state of an interrupted evaluation.
import { batchOf, clipsOf } from "../data/batch.js";
import type { Source } from "../data/source.js";
import { evaluationCrop } from "../data/transform.js";
import { scope } from "../torch/index.js";
import type { Rules } from "./plan.js";
import type { ReconstructionPass } from "./reconstruction-pass.js";
import type { GalleryItem } from "./report.js";

interface GalleryOptions {
  /** Height and width of the crop, pixels. */
  readonly size: number;
  readonly rules: Rules;
  /** At most so many pictures. */
  readonly count: number;
}

/** Loads and reconstructs the pictures again that a report shows. */
export async function makeGallery(
  set: Source,
  pass: ReconstructionPass,
  { size, rules, count }: GalleryOptions,
): Promise<GalleryItem[]> {
  const { files, places } = pass.scoreboard.state;
  const items: GalleryItem[] = [];
  for (const { index, ...note } of pickPictures(pass.scoreboard.psnrs, count)) {
    const original = evaluationCrop(await set.load(places[index]!), size, rules.filter);
    const [recon] = scope(() => {
      const { pixels } = pass.reconstruct(batchOf([original]));
      return clipsOf(pixels, rules.rounding);
    });
    items.push({
      ...{ file: files[index]!, original, recon: recon! },
      ...{ psnr: pass.scoreboard.psnrs[index]!, ...note },
    });
  }
  return items;
}

interface Picked {
  /** Into the list of PSNRs. */
  readonly index: number;
  /** "worst of 500", "best of 500"; absent for a plain sample. */
  readonly note?: string;
}

/**
 * Of the files with these PSNRs at most `count`, each once: a quarter from each end, worst and best first; before them
 * others, spread over the set in its order.
 */
export function pickPictures(psnrs: readonly number[], count: number): Picked[] {
  const total = psnrs.length;
  const endSize = Math.floor(Math.min(count, total) / 4);
  const spread = Math.min(total, count - 2 * endSize);
  const byPsnr = psnrs.map((_, index) => index).sort((a, b) => psnrs[a]! - psnrs[b]!);
  const noted = (indices: readonly number[], note: string): Picked[] =>
    indices.map((index) => ({ index, note: `${note} of ${total}` }));
  const ends = [
    ...noted(byPsnr.slice(0, endSize), "worst"),
    ...noted(byPsnr.reverse().slice(0, endSize), "best"),
  ];
  const plain = Array.from({ length: spread }, (_, i) => Math.floor(((i + 0.5) * total) / spread))
    .filter((index) => ends.every((end) => end.index !== index))
    .map((index) => ({ index }));
  return [...plain, ...ends];
}
