// Which pictures a report shows: some spread evenly over the set, and both ends by PSNR. Only those are kept in memory.
import type { GalleryItem } from "./report.js";

type Offer = Omit<GalleryItem, "note">;

export class Gallery {
  readonly #spread = new Map<number, Offer>();
  readonly #wanted: ReadonlySet<number>;
  readonly #endSize: number;
  #worst: Offer[] = [];
  #best: Offer[] = [];
  #offered = 0;

  /** Of `total` files at most `count` are kept: half of them spread over the set, a quarter from each end. */
  constructor(total: number, count: number) {
    this.#endSize = Math.floor(count / 4);
    const spread = Math.min(total, count - 2 * this.#endSize);
    this.#wanted = new Set(
      Array.from({ length: spread }, (_, i) => Math.floor(((i + 0.5) * total) / spread)),
    );
  }

  /** Shows it file `index` of the set; clips that it keeps are copied. */
  offer(index: number, item: Offer): void {
    this.#offered++;
    const isWorst = belongs(this.#worst, this.#endSize, (other) => item.psnr < other.psnr);
    const isBest = belongs(this.#best, this.#endSize, (other) => item.psnr > other.psnr);
    if (!isWorst && !isBest && !this.#wanted.has(index)) return;
    const own = { ...item, original: copy(item.original), recon: copy(item.recon) };
    if (this.#wanted.has(index)) this.#spread.set(index, own);
    const byPsnr = (a: Offer, b: Offer) => a.psnr - b.psnr;
    if (isWorst) this.#worst = [...this.#worst, own].sort(byPsnr).slice(0, this.#endSize);
    if (isBest) this.#best = [...this.#best, own].sort(byPsnr).slice(-this.#endSize);
  }

  /** The spread ones in the set's order, then the worst, then the best; each picture once. */
  items(): GalleryItem[] {
    const noted = (items: Offer[], note: string) =>
      items.map((item) => ({ ...item, note: `${note} of ${this.#offered}` }));
    const all: GalleryItem[] = [
      ...this.#spread.values(),
      ...noted(this.#worst, "worst"),
      ...noted(this.#best.reverse(), "best"),
    ];
    const files = all.map(({ file }) => file);
    return all.filter(({ file }, i) => files.indexOf(file) === i);
  }
}

function belongs(end: Offer[], size: number, beats: (other: Offer) => boolean): boolean {
  return end.length < size || end.some(beats);
}

/** A batch's clips share its memory; one of them must not hold all of it. */
function copy<T extends { bytes: Uint8Array }>(clip: T): T {
  return { ...clip, bytes: clip.bytes.slice() };
}
