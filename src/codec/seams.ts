// Whether a border between windows can be seen: how much the error of a reconstruction jumps there, against how much it
// jumps elsewhere. 1 is no different from anywhere else. Where the windows lie is tiling.ts.
import type { Clip } from "../media/clip.js";
import { axisWindows, type Tiling } from "./tiling.js";

/** Mean jump of the error at borders over the mean jump elsewhere; NaN where there is no border. */
export function seamRatio(jumps: readonly number[], borders: ReadonlySet<number>): number {
  const mean = (values: readonly number[]) =>
    values.reduce((sum, value) => sum + value, 0) / values.length;
  const at = jumps.filter((_, i) => borders.has(i));
  const elsewhere = jumps.filter((_, i) => !borders.has(i));
  return mean(at) / Math.max(mean(elsewhere), 1e-9);
}

/**
 * Of one picture: the mean jump of its error between neighbouring columns (then rows) where tiles begin and end, over that at
 * the other borders of patches, where the model itself may jump.
 */
export function tileSeams(original: Clip, recon: Clip, p: number, { tile, halo }: Tiling): number {
  const sides = [original.width, original.height] as const;
  const jumps: number[] = [];
  const borders = new Set<number>();
  for (const [axis, side] of sides.entries()) {
    const patches = Math.ceil(side / p);
    const edges = new Set(
      axisWindows(patches, { size: tile, shared: halo }).flatMap((window) => [
        window.start,
        window.start + window.length,
      ]),
    );
    for (let patch = 1; patch * p < side; patch++) {
      if (edges.has(patch)) borders.add(jumps.length);
      jumps.push(jumpAt(original, recon, { axis: axis === 0 ? "column" : "row", at: patch * p }));
    }
  }
  return seamRatio(jumps, borders);
}

interface Line {
  readonly axis: "column" | "row";
  readonly at: number;
}

/** Mean absolute difference of the error between the lines at - 1 and at of the first frame. */
function jumpAt(original: Clip, recon: Clip, { axis, at }: Line): number {
  const { height, width } = original;
  const count = axis === "column" ? height : width;
  const [along, back] = axis === "column" ? [width * 3, 3] : [3, width * 3];
  const first = axis === "column" ? at * 3 : at * width * 3;
  let sum = 0;
  for (let i = 0; i < count; i++)
    for (let k = 0; k < 3; k++) {
      const here = first + i * along + k;
      sum += Math.abs(
        recon.bytes[here]! -
          original.bytes[here]! -
          (recon.bytes[here - back]! - original.bytes[here - back]!),
      );
    }
  return sum / (3 * count);
}

/** Mean absolute change of the error from each frame to the next, over a stream of pairs of clips. */
export class FlickerMeter {
  readonly #steps: number[] = [];
  #last: Int16Array | undefined;
  #frames = 0;

  add(original: Clip, recon: Clip): void {
    const length = original.height * original.width * 3;
    for (let frame = 0; frame < original.frames; frame++, this.#frames++) {
      const error = new Int16Array(length);
      const from = frame * length;
      let sum = 0;
      for (let i = 0; i < length; i++) {
        error[i] = recon.bytes[from + i]! - original.bytes[from + i]!;
        if (this.#last) sum += Math.abs(error[i]! - this.#last[i]!);
      }
      if (this.#last) this.#steps.push(sum / length);
      this.#last = error;
    }
  }

  /**
   * The mean change inside the overlap of chunks and into and out of it, over the mean change elsewhere. Changes between two
   * tubelets, where the model itself may jump, are compared with each other.
   */
  ratio({ chunk, overlap }: Tiling, q: number): number {
    const steps = this.#steps.map((value, i) => ({ value, frame: i + 1 }));
    const compared = overlap > 0 && q > 1 ? steps.filter(({ frame }) => frame % q === 0) : steps;
    const isBorder = ({ frame }: { frame: number }) => {
      const place = frame % (chunk - overlap);
      return frame >= chunk - overlap && place <= overlap && frame <= this.#frames;
    };
    const borders = new Set(compared.flatMap((step, i) => (isBorder(step) ? [i] : [])));
    return seamRatio(
      compared.map(({ value }) => value),
      borders,
    );
  }
}
