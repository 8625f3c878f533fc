// How fast a run is: samples a second, the share of time spent waiting for data, and MFU.
import type { Loader } from "../data/loader.js";
import { costOf, type InputSize } from "../tokenizer/cost.js";
import type { TrainConfig } from "./config.js";
import { measurePeakFlops } from "./peak.js";

/** Rates since the last log line, evaluations and checkpoints left out. */
export class Pace {
  readonly #flopsPerSample: number;
  readonly #peakFlops: number | undefined;
  #samples = 0;
  #startedMs = performance.now();
  #waitedMs = 0;

  constructor(
    config: TrainConfig,
    device: string,
    private readonly loader: Loader,
  ) {
    // Two operations a multiply-add; the backward pass costs twice the forward one. LPIPS is not counted.
    this.#flopsPerSample = 6 * costOf(config.model, inputSize(config)).macs.total;
    this.#peakFlops = measurePeakFlops(device, config.train.precision);
    this.restart();
  }

  restart(): void {
    this.#samples = 0;
    this.#startedMs = performance.now();
    this.#waitedMs = this.loader.waitMs;
  }

  count(samples: number): { rate: number; dataWaitShare: number; mfu?: number } {
    this.#samples += samples;
    const elapsedMs = Math.max(1e-3, performance.now() - this.#startedMs);
    const rate = (this.#samples / elapsedMs) * 1000;
    return {
      rate,
      dataWaitShare: Math.min(1, (this.loader.waitMs - this.#waitedMs) / elapsedMs),
      ...(this.#peakFlops ? { mfu: (rate * this.#flopsPerSample) / this.#peakFlops } : {}),
    };
  }
}

/** Size of one training sample. */
export function inputSize({ data }: TrainConfig): InputSize {
  return { frames: data.frames, height: data.size, width: data.size };
}
