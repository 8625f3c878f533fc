// Scores of pairs: each file's own, their means with confidence intervals, and means by class.
// Scores of whole sets are set-statistics.ts.
import { lpips } from "../metrics/lpips.js";
import { type PictureMetric, summarise } from "../metrics/metric.js";
import { msSsim } from "../metrics/ms-ssim.js";
import { psnr } from "../metrics/psnr.js";
import { ssim } from "../metrics/ssim.js";
import type { Lpips } from "../perceptual/lpips.js";
import { call, scope, stack, type Tensor } from "../torch/index.js";
import { type PairMetric, type Plan, pairMetrics } from "./plan.js";

/** By the papers' names: PSNR (dB), SSIM, LPIPS. */
export type Scores = Readonly<Record<string, number>>;

export interface FileScores {
  readonly file: string;
  readonly scores: Scores;
}

export interface ScoreSummary {
  /** Means over pictures; of clips, over frames. */
  readonly metrics: Scores;
  /** Half-widths of the means' 95 % confidence intervals; NaN for one file, absent for pooled errors. */
  readonly intervals: Scores;
  /** One a file, in the set's order; of a clip, the mean of its frames. */
  readonly perImage: readonly FileScores[];
  /** Means over the files of each class, where the set has classes. */
  readonly perClass: readonly { readonly name: string; readonly count: number; scores: Scores }[];
}

/** Everything seen so far, as plain data: all there is to save. */
export interface ScoreboardState {
  readonly files: string[];
  /** Place of each file in the set. */
  readonly places: number[];
  /** Class of each file, -1 for none. */
  readonly labels: number[];
  /** By metric, one number a file. */
  readonly values: Record<string, number[]>;
  /** PSNR of the pooled error of each batch, and its number of files. */
  readonly pooled: { readonly psnr: number; readonly count: number }[];
}

/** Which files a batch holds. */
export interface BatchFiles {
  readonly files: readonly string[];
  readonly indices: readonly number[];
  readonly labels: readonly number[];
}

export class Scoreboard {
  readonly state: ScoreboardState;
  readonly #plan: Plan;
  /** PSNR is always among them: reports are ordered by it. */
  readonly #metrics: ReadonlyMap<PairMetric, PictureMetric>;

  /** Goes on from `state`, where there is one. The network stays the caller's. */
  constructor(plan: Plan, network: Lpips | undefined, state?: ScoreboardState) {
    const { ssimBorder: border } = plan;
    const make: Record<PairMetric, () => PictureMetric> = {
      psnr,
      ssim: () => ssim({ border }),
      "ms-ssim": () => msSsim({ border }),
      lpips: () => lpips(network!),
    };
    const asked = pairMetrics.filter((name) => name === "psnr" || plan.metrics.includes(name));
    this.#plan = plan;
    this.#metrics = new Map(asked.map((name) => [name, make[name]()]));
    const values = Object.fromEntries(asked.map((name) => [name, []]));
    this.state = state ?? { files: [], places: [], labels: [], values, pooled: [] };
  }

  /** Adds a batch: bytes 0..255 as uint8 [B, 3, T, H, W]; `indices` are the files' places in the set. */
  update({ files, indices, labels }: BatchFiles, real: Tensor, fake: Tensor): void {
    const { state } = this;
    const frames = real.size(2);
    state.files.push(...files);
    state.places.push(...indices);
    state.labels.push(...labels);
    const names = [...this.#metrics.keys()];
    const rows = this.#measure(real, fake);
    for (const [i, name] of names.entries())
      for (let file = 0; file < files.length; file++)
        state.values[name]!.push(mean(rows[i]!.slice(file * frames, (file + 1) * frames)));
    if (!this.#plan.rules.isPsnrPooled) return;
    state.pooled.push({ psnr: pooledPsnr(rows.at(-1)!.slice(0, frames)), count: files.length });
  }

  /** Adds what a scoreboard of another part of the set holds; the files stay in the set's order. */
  merge(other: Scoreboard): void {
    const { files, places, labels, values, pooled } = this.state;
    files.push(...other.state.files);
    places.push(...other.state.places);
    labels.push(...other.state.labels);
    for (const [name, own] of Object.entries(values)) own.push(...other.state.values[name]!);
    pooled.push(...other.state.pooled);
    const order = places.map((_, i) => i).sort((a, b) => places[a]! - places[b]!);
    const sort = <T>(list: T[]) => list.splice(0, list.length, ...order.map((i) => list[i]!));
    for (const list of [places, labels, ...Object.values(values)]) sort(list);
    sort(files);
  }

  /**
   * What each metric says of each frame, clip by clip; where errors are pooled, last those of each frame index. All in one
   * transfer, so that a GPU is waited for once a batch.
   */
  #measure(real: Tensor, fake: Tensor): number[][] {
    const numbers = scope(() => {
      const [x, y] = [real, fake].map((bytes) => bytes.to({ dtype: "float32" })) as [
        Tensor,
        Tensor,
      ];
      const rows = [...this.#metrics.values()].map((metric) => metric.measure(x, y));
      const pictures = rows[0]!.size(0);
      if (this.#plan.rules.isPsnrPooled) {
        const errors = x.sub(y).to({ dtype: "float64" }).square().mean([0, 1, 3, 4]); // [T]
        rows.push(call("constant_pad_nd", errors, [0, pictures - errors.size(0)], 0));
      }
      return [...stack(rows).flatten().toArray()].map(Number);
    });
    const width = real.size(0) * real.size(2);
    return Array.from({ length: numbers.length / width }, (_, i) =>
      numbers.slice(i * width, (i + 1) * width),
    );
  }

  /** One a file, in the order of update(). */
  get psnrs(): readonly number[] {
    return this.state.values.psnr!;
  }

  /** `classes` are the names of the labels. @throws where nothing was scored */
  summary(classes: readonly string[]): ScoreSummary {
    const { files, values } = this.state;
    const asked = pairMetrics.filter((name) => this.#plan.metrics.includes(name));
    const collect = (value: (name: PairMetric) => number): Scores =>
      Object.fromEntries(asked.map((name) => [name.toUpperCase(), value(name)]));
    const isPooled = (name: PairMetric) => name === "psnr" && this.#plan.rules.isPsnrPooled;
    const intervals = collect((name) =>
      isPooled(name) ? Number.NaN : summarise(values[name]!).halfWidth,
    );
    return {
      metrics: collect((name) => (isPooled(name) ? this.#pooled() : mean(values[name]!))),
      intervals,
      perImage: files.map((file, i) => ({ file, scores: collect((name) => values[name]![i]!) })),
      perClass: this.#perClass(classes, asked),
    };
  }

  /** Batches weigh by their files, so that a last one that is not full counts for what it is. */
  #pooled(): number {
    const { pooled } = this.state;
    const total = pooled.reduce((sum, { count }) => sum + count, 0);
    return pooled.reduce((sum, { psnr, count }) => sum + (psnr * count) / total, 0);
  }

  #perClass(classes: readonly string[], asked: readonly PairMetric[]): ScoreSummary["perClass"] {
    const { labels, values } = this.state;
    return classes.flatMap((name, label) => {
      const members = labels.flatMap((other, i) => (other === label ? [i] : []));
      if (!members.length) return [];
      const scores = asked.map((metric) => {
        const own = members.map((i) => values[metric]![i]!);
        return [metric.toUpperCase(), mean(own)];
      });
      return [{ name, count: members.length, scores: Object.fromEntries(scores) as Scores }];
    });
  }
}

const mean = (values: readonly number[]): number => summarise(values).mean;

/** Of the mean squared errors of each frame index over a batch: their PSNRs' mean, dB. */
const pooledPsnr = (errors: readonly number[]): number =>
  mean(errors.map((error) => Math.min(100, 10 * Math.log10(255 ** 2 / error))));
