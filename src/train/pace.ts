// How fast a run is: samples a second, the share of time spent waiting for data, and MFU.
import { costOf, type InputSize } from "../tokenizer/cost.js";
import type { TrainConfig } from "./config.js";
import { measurePeakFlops } from "./peak.js";
import type { Recipe, TrainBatch } from "./recipe.js";

/** Rates since the last log line, evaluations and checkpoints left out. */
export class Pace {
  readonly #peakFlops: number | undefined;
  #samples = 0;
  #flops = 0;
  #startedMs = performance.now();
  #waitedMs = 0;

  constructor(
    private readonly recipe: Pick<Recipe, "device" | "flopsPerSample">,
    private readonly waitedMs: () => number,
    precision: TrainConfig["train"]["precision"],
    /** That train together: the rate is of all of them, MFU of this one. */
    private readonly processes = 1,
  ) {
    this.#peakFlops = measurePeakFlops(recipe.device, precision);
    this.restart();
  }

  restart(): void {
    this.#samples = 0;
    this.#flops = 0;
    this.#startedMs = performance.now();
    this.#waitedMs = this.waitedMs();
  }

  /** `area` is a sample's in those of `data.size`, with which its cost is taken to grow. */
  count(samples: number, area: number): { rate: number; dataWaitShare: number; mfu?: number } {
    this.#samples += samples;
    this.#flops += samples * area * this.recipe.flopsPerSample;
    const elapsedMs = Math.max(1e-3, performance.now() - this.#startedMs);
    const rate = (this.#samples / elapsedMs) * 1000;
    return {
      rate: rate * this.processes,
      dataWaitShare: Math.min(1, (this.waitedMs() - this.#waitedMs) / elapsedMs),
      ...(this.#peakFlops ? { mfu: ((this.#flops / elapsedMs) * 1000) / this.#peakFlops } : {}),
    };
  }
}

/** Of a tokenizer's training on one sample: two operations a multiply-add, the backward pass twice the forward one; no LPIPS. */
export function trainingFlops(config: TrainConfig): number {
  return 6 * costOf(config.model, inputSize(config)).macs.total;
}

/** Size of one training sample. */
export function inputSize({ data }: TrainConfig): InputSize {
  return { frames: data.frames, height: data.size, width: data.size };
}

/** Pixels of a batch's samples over those of the recipe's size; latents are of one size. */
export function areaShare(
  batch: TrainBatch,
  { size, frames, images }: Pick<TrainConfig["data"], "size" | "frames" | "images">,
): number {
  if ("moments" in batch) return 1;
  const [, seen, height, width] = batch.shape;
  const length = images ? seen / frames : 1; // of joint training: a picture is a part of a clip
  return (length * height * width) / size ** 2;
}
