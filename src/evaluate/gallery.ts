// The pictures of a report: some spread evenly over the set, both ends by PSNR, and one of each class. They are made again
// when all files are scored, so that none is kept in memory or in the state of an interrupted evaluation.
import type { Clip } from "../media/clip.js";
import type { GalleryItem } from "./report.js";
import type { Scoreboard } from "./scoreboard.js";

interface GalleryOptions {
  /** Names of the labels. */
  readonly classes: readonly string[];
  /** At most so many pictures. */
  readonly count: number;
  /** At most so many classes, one picture each. */
  readonly classCount: number;
  /** So many besides, spread over the set and the same for every model: for two of eight, the third and the seventh. */
  readonly evenCount?: number;
}

/** The pictures that a report shows; `show` makes the file at a place of the set again, as it was scored. */
export async function makeGallery(
  { state, psnrs }: Scoreboard,
  { classes, count, classCount, evenCount = 0 }: GalleryOptions,
  show: (place: number) => Promise<{ original: Clip; recon: Clip }>,
): Promise<GalleryItem[]> {
  const { files, places, labels } = state;
  const items: GalleryItem[] = [];
  const picked = [
    ...pickPictures(psnrs, count),
    ...pickOfClasses(psnrs, labels, classCount),
    ...pickEvenly(files.length, evenCount),
  ];
  for (const { index, ...why } of picked) {
    const name = why.group === "class" ? { note: classes[labels[index]!]! } : {};
    const pictures = await show(places[index]!);
    items.push({ file: files[index]!, ...pictures, psnr: psnrs[index]!, ...why, ...name });
  }
  return items;
}

interface Picked extends Pick<GalleryItem, "group" | "note"> {
  /** Into the list of PSNRs. */
  readonly index: number;
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
  const noted = (indices: readonly number[], group: "worst" | "best"): Picked[] =>
    indices.map((index) => ({ index, group, note: `${group} of ${total}` }));
  const ends = [
    ...noted(byPsnr.slice(0, endSize), "worst"),
    ...noted(byPsnr.reverse().slice(0, endSize), "best"),
  ];
  const plain = Array.from({ length: spread }, (_, i) => Math.floor(((i + 0.5) * total) / spread))
    .filter((index) => ends.every((end) => end.index !== index))
    .map((index) => ({ index }));
  return [...plain, ...ends];
}

/** At most `count` of `total` files, whatever their scores. */
export function pickEvenly(total: number, count: number): Picked[] {
  const shown = Math.min(total, count);
  return Array.from({ length: shown }, (_, i) => Math.floor(((i + 0.5) * total) / shown)).map(
    (index) => ({ index, group: "even" as const }),
  );
}

/**
 * The file in the middle of each class by PSNR, the classes of the lowest means first, at most `count` of them, half of
 * them the lowest and half the highest; none where there are fewer than two classes. Labels are -1 for none.
 */
export function pickOfClasses(
  psnrs: readonly number[],
  labels: readonly number[],
  count: number,
): Picked[] {
  const members = new Map<number, number[]>();
  for (const [index, label] of labels.entries())
    if (label >= 0) members.set(label, [...(members.get(label) ?? []), index]);
  if (members.size < 2) return [];
  const classes = [...members.values()].map((indices) => {
    const sorted = indices.sort((a, b) => psnrs[a]! - psnrs[b]!);
    const mean = sorted.reduce((sum, index) => sum + psnrs[index]!, 0) / sorted.length;
    return { index: sorted[Math.floor((sorted.length - 1) / 2)]!, mean };
  });
  const ordered = classes.sort((a, b) => a.mean - b.mean);
  const low = Math.ceil(Math.min(count, ordered.length) / 2);
  const high = Math.min(count, ordered.length) - low;
  return [...ordered.slice(0, low), ...(high ? ordered.slice(-high) : [])].map(({ index }) => ({
    ...{ index, group: "class" as const },
  }));
}
