// Antialiased resizing of RGB bytes with Pillow's arithmetic, bit for bit: across, then down, each pass in
// 22-bit fixed point and rounded to bytes. (Pillow 13 goes down first on tall pictures: up to 3/255 apart.)
// Published numbers rest on it: the same on every machine, up and down. Training crops are libtorch's.
import type { Box, Clip, Size } from "./clip.js";

export type Filter = "bicubic" | "bilinear";

interface ResampleOptions {
  /** The part of the clip to read; what lies outside does not touch the result. Default: all of it. */
  from?: Box;
  /** The part of the resized picture to compute. Default: all of it. */
  window?: Box;
  filter?: Filter;
}

/** Resizes every frame to `size`. Weights stretch with the scale when shrinking (antialiasing). */
export function resample(clip: Clip, size: Size, options: ResampleOptions = {}): Clip {
  const { filter = "bicubic" } = options;
  const from = options.from ?? { top: 0, left: 0, height: clip.height, width: clip.width };
  const window = options.window ?? { top: 0, left: 0, ...size };
  const across = weightsOf(filter, [from.width, size.width], [window.left, window.width]);
  const down = weightsOf(filter, [from.height, size.height], [window.top, window.height]);
  const firstRow = down.starts[0]!;
  const rows = down.starts.at(-1)! + down.counts.at(-1)! - firstRow;

  const frameLength = window.height * window.width * 3;
  const bytes = new Uint8ClampedArray(clip.frames * frameLength); // the cubic overshoots
  const narrow = new Uint8ClampedArray(rows * window.width * 3); // [rows, window.width, 3]
  for (let frame = 0; frame < clip.frames; frame++) {
    const top = frame * clip.height + from.top + firstRow;
    for (let row = 0; row < rows; row++) {
      const start = ((top + row) * clip.width + from.left) * 3;
      resampleRow(clip.bytes, start, across, narrow, row * window.width * 3);
    }
    resampleColumns(narrow, firstRow, down, bytes.subarray(frame * frameLength), window.width * 3);
  }
  const { height, width } = window;
  return { bytes: new Uint8Array(bytes.buffer), frames: clip.frames, height, width };
}

/** For each output position: where its input run starts, how long it is, and the weights (x 2^22). */
interface Weights {
  starts: number[];
  counts: number[];
  taps: Int32Array; // [outputs, stride]
  stride: number;
}

const precisionBits = 22;
const half = 1 << (precisionBits - 1);

function weightsOf(filter: Filter, [input, output]: Span, [first, length]: Span): Weights {
  const { support, kernel } = filters[filter];
  const scale = input / output;
  const stretch = Math.max(scale, 1);
  const stride = Math.ceil(support * stretch) * 2 + 1;
  const taps = new Int32Array(length * stride);
  const starts: number[] = [];
  const counts: number[] = [];
  for (let i = 0; i < length; i++) {
    const centre = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.trunc(centre - support * stretch + 0.5));
    const end = Math.min(input, Math.trunc(centre + support * stretch + 0.5));
    const raw = Array.from({ length: end - start }, (_, tap) =>
      kernel((start + tap - centre + 0.5) * (1 / stretch)),
    );
    const sum = raw.reduce((total, weight) => total + weight, 0);
    raw.forEach((weight, tap) => {
      const scaled = (weight / sum) * (1 << precisionBits);
      taps[i * stride + tap] = Math.trunc(scaled + Math.sign(scaled) * 0.5); // half away from zero
    });
    starts.push(start);
    counts.push(raw.length);
  }
  return { starts, counts, taps, stride };
}

type Span = readonly [number, number];

const filters = {
  bicubic: {
    support: 2,
    kernel(x: number): number {
      const t = Math.abs(x); // Keys's cubic with a = -0.5
      if (t < 1) return (1.5 * t - 2.5) * t * t + 1;
      return t < 2 ? ((t - 5) * t + 8) * t * -0.5 + 2 : 0;
    },
  },
  bilinear: { support: 1, kernel: (x: number): number => Math.max(0, 1 - Math.abs(x)) },
};

function resampleRow(
  source: Uint8Array,
  start: number,
  { starts, counts, taps, stride }: Weights,
  target: Uint8ClampedArray,
  targetStart: number,
): void {
  for (let x = 0; x < starts.length; x++) {
    let red = half;
    let green = half;
    let blue = half;
    let at = start + starts[x]! * 3;
    const end = x * stride + counts[x]!;
    for (let tap = x * stride; tap < end; tap++, at += 3) {
      const weight = taps[tap]!;
      red += Math.imul(weight, source[at]!);
      green += Math.imul(weight, source[at + 1]!);
      blue += Math.imul(weight, source[at + 2]!);
    }
    target[targetStart + x * 3] = red >> precisionBits;
    target[targetStart + x * 3 + 1] = green >> precisionBits;
    target[targetStart + x * 3 + 2] = blue >> precisionBits;
  }
}

/** `source` holds rows of `rowLength` bytes, the first of which is the input's row `firstRow`. */
function resampleColumns(
  source: Uint8ClampedArray,
  firstRow: number,
  { starts, counts, taps, stride }: Weights,
  target: Uint8ClampedArray,
  rowLength: number,
): void {
  const sums = new Int32Array(rowLength);
  for (let y = 0; y < starts.length; y++) {
    sums.fill(half);
    for (let tap = 0; tap < counts[y]!; tap++) {
      const weight = taps[y * stride + tap]!;
      const row = (starts[y]! - firstRow + tap) * rowLength;
      for (let x = 0; x < rowLength; x++) {
        sums[x] = sums[x]! + Math.imul(weight, source[row + x]!);
      }
    }
    for (let x = 0; x < rowLength; x++) target[y * rowLength + x] = sums[x]! >> precisionBits;
  }
}
