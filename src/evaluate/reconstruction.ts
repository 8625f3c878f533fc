// Reconstruction scores of a tokenizer on a set, in one pass: crop, encode to the posterior's mean, decode, round to
// bytes, compare. Paper, section 2.3; spec section 5, protocol `standard`.
import { type Batch, bytesOf, pixelsOf } from "../data/batch.js";
import { Loader } from "../data/loader.js";
import type { Source } from "../data/source.js";
import { type Clip, createClip } from "../media/clip.js";
import { lpips } from "../metrics/lpips.js";
import { type PictureMetric, summarise } from "../metrics/metric.js";
import { psnr } from "../metrics/psnr.js";
import { ssim } from "../metrics/ssim.js";
import { Lpips, type TrunkName } from "../perceptual/lpips.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { scope, Tensor } from "../torch/index.js";
import { Gallery } from "./gallery.js";
import { type Protocol, standardProtocol, type WeightsId } from "./protocol.js";
import type { GalleryItem } from "./report.js";

/** What can be asked for. */
export const reconstructionMetrics = ["psnr", "ssim", "lpips"] as const;
export type ReconstructionMetric = (typeof reconstructionMetrics)[number];

export interface EvaluateOptions {
  /** Height and width of the crop, pixels. */
  readonly size: number;
  readonly batchSize: number;
  readonly metrics: readonly ReconstructionMetric[];
  /** The first so many files only. */
  readonly count?: number | undefined;
  /** Masked models: decode from the first so many tokens. */
  readonly keep?: number | undefined;
  /** vgg by default. */
  readonly lpipsTrunk?: TrunkName | undefined;
  /** At most so many pictures come back for the report; none by default. */
  readonly galleryCount?: number | undefined;
  /** For the passport; raw weights that no file holds by default. */
  readonly model?: WeightsId | undefined;
  readonly onProgress?: ((done: number, total: number) => void) | undefined;
}

/** By the papers' names: PSNR (dB), SSIM, LPIPS. */
export type Scores = Readonly<Record<string, number>>;

export interface ReconstructionScores {
  /** Means over pictures; of clips, over frames. */
  readonly metrics: Scores;
  /** Half-widths of the means' 95 % confidence intervals; NaN for one file. */
  readonly intervals: Scores;
  /** One a file, in the set's order; of a clip, the mean of its frames. */
  readonly perImage: readonly { readonly file: string; readonly scores: Scores }[];
  readonly protocol: Protocol;
  readonly gallery: readonly GalleryItem[];
  /** Left out of every score. */
  readonly unreadable: readonly { readonly file: string; readonly reason: string }[];
}

/**
 * Scores a tokenizer on the files of a source in their listed order.
 * @throws an Error where more than 5 % of the files cannot be read, or where LPIPS is asked for and has no weights
 */
export async function evaluateReconstruction(
  tokenizer: Tokenizer,
  source: Source,
  options: EvaluateOptions,
): Promise<ReconstructionScores> {
  const { size, batchSize, keep, metrics, model = unsaved, lpipsTrunk = "vgg" } = options;
  const { device } = tokenizer.encoder.norm.weight;
  const set = firstOf(source, options.count ?? source.length);
  const hasLpips = metrics.includes("lpips");
  const network = hasLpips ? Lpips.load({ trunk: lpipsTrunk, device }) : undefined;
  try {
    const scoreboard = new Scoreboard(metrics, network);
    const gallery = new Gallery(set.length, options.galleryCount ?? 0);
    const loader = new Loader(set, { size, batchSize, augment: false });
    for await (const batch of loader) {
      const recon = { ...batch, bytes: reconstructBytes(tokenizer, batch, keep) };
      const psnrs = scoreboard.update(batch, recon);
      batch.files.forEach((file, i) => {
        const clips = { original: clipAt(batch, i), recon: clipAt(recon, i) };
        gallery.offer(batch.indices[i]!, { file, ...clips, psnr: psnrs[i]! });
      });
      options.onProgress?.(batch.indices.at(-1)! + 1, set.length);
    }
    const { unreadable } = loader;
    if (!scoreboard.files.length)
      throw new Error(
        `Expected readable files in ${set.name}, received none: ${unreadable[0]?.reason}.`,
      );
    const facts = { size, keep, model, count: scoreboard.files.length };
    const protocol = await standardProtocol(tokenizer, set, {
      ...facts,
      lpipsTrunk: hasLpips ? lpipsTrunk : undefined,
    });
    return { ...scoreboard.summary(), protocol, gallery: gallery.items(), unreadable };
  } finally {
    network?.dispose();
  }
}

const unsaved: WeightsId = { weights: "raw", weightsHash: null };

function firstOf(source: Source, count: number): Source {
  const { name, classes } = source;
  return {
    ...{ name, classes, length: Math.min(count, source.length) },
    load: (index) => source.load(index),
    id: (index) => source.id(index),
    label: (index) => source.label(index),
  };
}

type Bytes = Pick<Batch, "bytes" | "shape">;

/** Encode to the mean, decode, clamp, round to the nearest byte: [B, T, H, W, 3] -> the same. */
function reconstructBytes(
  tokenizer: Tokenizer,
  batch: Bytes,
  keep: number | undefined,
): Uint8Array {
  const { device } = tokenizer.encoder.norm.weight;
  return scope(() => bytesOf(tokenizer.reconstruct(pixelsOf(batch, { device }), { keep })));
}

function clipAt({ bytes, shape }: Bytes, index: number): Clip {
  const [, frames, height, width] = shape;
  const length = frames * height * width * 3;
  const own = bytes.subarray(index * length, (index + 1) * length);
  return createClip(own, { frames, height, width });
}

/** The scores of every file so far. */
class Scoreboard {
  readonly files: string[] = [];
  readonly #asked: readonly PictureMetric[];
  /** Always there: the gallery is ordered by it. */
  readonly #psnr = psnr();
  /** By metric, one number a file. */
  readonly #values = new Map<PictureMetric, number[]>();

  constructor(asked: readonly ReconstructionMetric[], network: Lpips | undefined) {
    const make = { psnr: () => this.#psnr, ssim, lpips: () => lpips(network!) };
    this.#asked = asked.map((name) => make[name]());
    for (const metric of [this.#psnr, ...this.#asked]) this.#values.set(metric, []);
  }

  /** Adds a batch; returns the PSNR of each of its files. */
  update(batch: Batch, recon: Bytes): number[] {
    const [count, frames] = batch.shape;
    this.files.push(...batch.files);
    scope(() => {
      const [real, fake] = [batch, recon].map(({ bytes, shape }) =>
        Tensor.from(bytes, shape).permute([0, 4, 1, 2, 3]),
      ) as [Tensor, Tensor];
      for (const [metric, values] of this.#values) {
        metric.update(real, fake);
        const byFrame = metric.values.slice(-count * frames);
        for (let i = 0; i < count; i++)
          values.push(summarise(byFrame.slice(i * frames, (i + 1) * frames)).mean);
      }
    });
    return this.#values.get(this.#psnr)!.slice(-count);
  }

  summary(): Pick<ReconstructionScores, "metrics" | "intervals" | "perImage"> {
    const valuesOf = (metric: PictureMetric) => this.#values.get(metric)!;
    const collect = (value: (metric: PictureMetric) => number): Scores =>
      Object.fromEntries(this.#asked.map((metric) => [metric.name, value(metric)]));
    return {
      metrics: collect((metric) => summarise(metric.values).mean),
      intervals: collect((metric) => summarise(valuesOf(metric)).halfWidth),
      perImage: this.files.map((file, i) => ({
        file,
        scores: collect((metric) => valuesOf(metric)[i]!),
      })),
    };
  }
}
