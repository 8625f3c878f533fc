// How large a window may be under a memory budget: what a model needs is measured on a few small windows, as a function of
// their tokens, and the largest tile and chunk that fit are taken. Where windows lie is tiling.ts.
import { ConfigError } from "../config-error.js";
import { moveTo } from "../nn/parameters.js";
import type { AutoEncoder } from "../tokenizer/auto-encoder.js";
import type { ClipSize } from "../tokenizer/posterior.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { memory, noGrad, resetPeakMemory, scope, synchronize, zeros } from "../torch/index.js";
import { haloOf, overlapOf, type Tiling, type TrainedShape, usualTiling } from "./tiling.js";

/** Bytes at the peak of encoding and decoding a window of N tokens: base + perToken N + perPair N^2. */
export interface MemoryModel {
  readonly base: number;
  readonly perToken: number;
  readonly perPair: number;
}

/** Blocks that are freed are kept for later, and kernels have scratch memory that no one counts. */
const margin = 1.3;

/** What of a budget is planned for: buffers that the garbage collector has not come to yet take the rest. */
const plannedShare = 0.8;

/** Runs the model on windows of three sizes and fits a parabola through their peaks. */
export function measureMemory(tokenizer: AutoEncoder): MemoryModel {
  const { patchSize: p } = tokenizer.config;
  const points = [8, 16, 24].map((side) => [side * side, peakOf(tokenizer, side * p)] as const);
  const [[n0, m0], [n1, m1], [n2, m2]] = points as [Point, Point, Point];
  const first = (m1 - m0) / (n1 - n0);
  const second = (m2 - m1) / (n2 - n1);
  const perPair = Math.max(0, (second - first) / (n2 - n0));
  const perToken = Math.max(0, second - perPair * (n1 + n2));
  return { base: Math.max(0, m2 - perToken * n2 - perPair * n2 * n2), perToken, perPair };
}

type Point = readonly [number, number];

/** Bytes that one tubelet's worth of frames of `side` pixels takes beyond what is there already. */
function peakOf(tokenizer: AutoEncoder, side: number): number {
  const { device } = tokenizer.placement;
  synchronize(device);
  const before = memory(device).allocatedBytes;
  resetPeakMemory(device);
  scope(() =>
    noGrad(() => {
      const pixels = zeros([1, 3, tokenizer.config.tubeletSize, side, side], { device });
      const { mean, grid } = tokenizer.encode(pixels);
      tokenizer.decode(mean, grid);
    }),
  );
  synchronize(device);
  return Math.max(0, memory(device).peakBytes - before);
}

export interface MemoryPlan extends Tiling {
  readonly precision: "float32" | "bfloat16" | "float8";
  /** What is expected at the peak, bytes, the model and the process included. */
  readonly expectedBytes: number;
  readonly budgetBytes: number;
}

/**
 * The windows for an input under a budget: of the process's resident memory, or of the device's where the model is on one.
 * Preferred in this order: large tiles, long chunks, float32. Changes the model's precision where nothing else fits.
 * @throws ConfigError naming the least budget that would do
 */
export function planMemory(
  tokenizer: AutoEncoder,
  input: ClipSize,
  { budgetBytes, trained }: { budgetBytes: number; trained: TrainedShape },
): MemoryPlan {
  const { config } = tokenizer;
  const { device } = tokenizer.placement;
  const usual = usualTiling(config, trained, input);
  let least = Infinity;
  const isLeast = tokenizer.placement.dtype === "float8";
  for (const precision of isLeast ? (["float8"] as const) : (["float32", "bfloat16"] as const)) {
    if (tokenizer.placement.dtype !== precision) {
      if (precision === "float32" || !(tokenizer instanceof Tokenizer)) continue;
      moveTo(tokenizer, { dtype: precision });
    }
    const model = measureMemory(tokenizer);
    const here = device === "cpu" ? process.memoryUsage().rss : memory(device).allocatedBytes;
    for (const chunk of chunksFrom(usual.chunk, config.tubeletSize))
      for (const tile of tilesFrom(usual.tile, trained.size / config.patchSize)) {
        const tiling = {
          chunk,
          overlap: overlapOf(chunk, config.tubeletSize),
          tile,
          halo: haloOf(tile),
        };
        const expectedBytes = here + bytesOf(tokenizer, input, { tiling, model });
        if (expectedBytes <= plannedShare * budgetBytes)
          return { ...tiling, precision, expectedBytes, budgetBytes };
        least = Math.min(least, expectedBytes / plannedShare);
      }
  }
  throw new ConfigError(
    `Expected at least ${mebibytes(least)} for --memory for ${input.height} x ${input.width} pixels, received ` +
      `${mebibytes(budgetBytes)}. Give more, or smaller frames.`,
  );
}

const mebibytes = (bytes: number): string => `${Math.ceil(bytes / 2 ** 20)}MiB`;

/** The chunk, then halves of it in whole tubelets. */
function chunksFrom(chunk: number, q: number): number[] {
  const chunks = [chunk];
  for (let next = chunk / 2; next >= q; next /= 2) chunks.push(Math.floor(next / q) * q);
  return chunks;
}

/** From the largest tile down to half of what the model was trained on, an eighth at a time. */
function tilesFrom(largest: number, trained: number): number[] {
  const smallest = Math.max(2, Math.min(largest, Math.floor(trained / 2)));
  const tiles: number[] = [];
  for (let tile = largest; tile >= smallest; tile = Math.min(tile - 1, Math.floor(tile * 0.875)))
    tiles.push(tile);
  return tiles;
}

/** What a chunk takes: the window's tensors, and frames as bytes before and after, a band of blended pixels, the latent. */
function bytesOf(
  { config, placement }: AutoEncoder,
  { frames, height, width }: ClipSize,
  { tiling, model }: { tiling: Tiling; model: MemoryModel },
): number {
  const { patchSize: p, tubeletSize: q, channels } = config;
  const seen = Math.min(tiling.chunk, Math.ceil(frames / q) * q);
  const t = seen / q;
  const [h, w] = [Math.ceil(height / p), Math.ceil(width / p)];
  const tokens = t * Math.min(tiling.tile, h) * Math.min(tiling.tile, w);
  const window = model.base + model.perToken * tokens + model.perPair * tokens * tokens;
  const isHost = placement.device === "cpu";
  const clip = seen * height * width * 3;
  const band = seen * Math.min(tiling.tile, h) * p * w * p * 3 * 4;
  // Bytes that wait, are joined, faded and shown beside each other; the band and what is added to it; the latent, its copy
  // and its tail.
  const frameBytes = frames > 1 ? 9 * clip : 2 * clip;
  const host = frameBytes + 2 * band + 3 * t * h * w * channels * 4;
  return margin * window + (isHost ? host : 0);
}
