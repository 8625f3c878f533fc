// The training loop: data, steps, log, evaluation, picture grids, checkpoints, signals. What a step computes is the recipe's.
import { existsSync, rmSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { ConfigError } from "../config-error.js";
import { Loader } from "../data/loader.js";
import { openSource, type Source } from "../data/source.js";
import { tile, writeImage } from "../media/image.js";
import { memory, pickDevice, setFlag, setNumThreads, torchVersion } from "../torch/index.js";
import { version } from "../version.js";
import { listCheckpoints, loadCheckpoint, saveCheckpoint } from "./checkpoint.js";
import type { TrainConfig } from "./config.js";
import { createRecipe } from "./create-recipe.js";
import { RunLog } from "./log.js";
import { Pace } from "./pace.js";
import { type Evaluation, NonFiniteError, type Recipe, type StepResult } from "./recipe.js";

/** What a watcher is told while training goes on; all optional. */
export interface TrainWatcher {
  onStart?(step: number): void;
  onStep?(step: number, fields: StepFields): void;
  onNote?(text: string): void;
}

export interface StepFields {
  readonly loss: number;
  readonly rate: number;
  readonly dataWaitShare: number;
  readonly mfu?: number;
}

export interface TrainResult {
  readonly state: "done" | "interrupted";
  readonly step: number;
  readonly folder: string;
  /** The exported model, when done. */
  readonly model: string | undefined;
  readonly scores: Evaluation | undefined;
  readonly unreadable: readonly { file: string; reason: string }[];
}

export interface TrainOptions extends TrainWatcher {
  /** The run's folder. */
  readonly out: string;
  readonly resume?: boolean;
  /** For the log and the report. */
  readonly command: string;
  /** Aborting it makes the run save a checkpoint after the current step and return. */
  readonly signal?: AbortSignal;
}

/** Trains by a recipe until its last step or the signal. A run killed at any moment and resumed ends as one never killed. */
export async function train(config: TrainConfig, options: TrainOptions): Promise<TrainResult> {
  const trainer = await Trainer.open(config, options);
  try {
    return await trainer.run();
  } finally {
    trainer.close();
  }
}

class Trainer {
  readonly #started = performance.now();
  readonly #pace: Pace;
  #step = 0;

  private constructor(
    private readonly config: TrainConfig,
    private readonly options: TrainOptions,
    private readonly recipe: Recipe,
    private readonly sources: { training: Source; evaluation: Source },
    private readonly loader: Loader,
    private readonly log: RunLog,
    startStep: number,
  ) {
    this.#step = startStep;
    this.#pace = new Pace(recipe, loader, config.train.precision);
  }

  static async open(config: TrainConfig, options: TrainOptions): Promise<Trainer> {
    if (config.train.threads) setNumThreads(config.train.threads);
    const device = pickDevice(config.device);
    if (device.startsWith("cuda"))
      for (const flag of ["tf32", "cudnnBenchmark"] as const) setFlag(flag, true);
    const checkpoint = findCheckpoint(options);
    const { path, frames, fps } = config.data;
    const training = await openSource(path, { frames, fps });
    const other = config.evaluate.data;
    const evaluation =
      other && other !== path ? await openSource(other, { frames, fps }) : training;
    const recipe = await createRecipe(config, device);
    const state = checkpoint ? loadCheckpoint(checkpoint, recipe, config) : { step: 0, sample: 0 };
    const loader = new Loader(training, loaderOptions(config, state.sample));
    const log = new RunLog(options.out);
    log.write({
      type: "run",
      variant: recipe.variant,
      config,
      version,
      seed: config.seed,
      device,
      engine: `libtorch ${torchVersion()}`,
      cores: availableParallelism(),
      command: options.command,
      startedAt: new Date().toISOString(),
      ...(checkpoint ? { resumedAtStep: state.step } : {}),
    });
    return new Trainer(config, options, recipe, { training, evaluation }, loader, log, state.step);
  }

  async run(): Promise<TrainResult> {
    this.options.onStart?.(this.#step);
    try {
      while (this.#step < this.config.train.steps) {
        await this.#trainStep();
        if (this.options.signal?.aborted) return this.#interrupted();
        await nextTurn(); // decoding and signals get their turn
      }
      return await this.#done();
    } catch (error) {
      this.#end("failed", error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  close(): void {
    this.loader.close();
    this.log.close();
    this.recipe.dispose();
  }

  async #trainStep(): Promise<void> {
    const { steps, evalEvery, saveEvery, gridEvery } = this.config.train;
    const batch = await this.loader.next();
    if (!batch)
      throw new Error(`Expected readable files in ${this.sources.training.name}, found none.`);
    let result: StepResult;
    try {
      result = this.recipe.step(batch, this.#step);
    } catch (error) {
      if (error instanceof NonFiniteError) throw this.#explain(error, batch.files);
      throw error;
    }
    this.#step++;
    this.#report(result, batch.shape[0]);
    const isLast = this.#step === steps;
    const isDue = (every: number) => every > 0 && this.#step % every === 0 && !isLast;
    if (isDue(evalEvery)) await this.#evaluate(isDue(gridEvery));
    else if (isDue(gridEvery)) await this.#evaluate(true, 8);
    if (isDue(saveEvery) || isLast) this.#save();
  }

  #report(result: StepResult, samples: number): void {
    const { logEvery } = this.config.train;
    const pace = this.#pace.count(samples);
    this.options.onStep?.(this.#step, { loss: result.loss, ...pace });
    if (logEvery === 0 || this.#step % logEvery !== 0) return;
    const { rate, ...shares } = pace;
    this.log.write({
      type: "step",
      step: this.#step,
      ...result,
      imagesPerSecond: rate,
      ...shares,
      memoryMiB: Math.round(memory(this.recipe.device).peakBytes / 2 ** 20),
      elapsedMs: this.#elapsed(),
    });
    this.#pace.restart();
  }

  async #evaluate(withGrid: boolean, count = this.config.evaluate.count): Promise<Evaluation> {
    const scores = await this.recipe.evaluate(this.sources.evaluation, { count });
    this.log.write({
      type: "eval",
      step: this.#step,
      metrics: scores.metrics,
      protocol: scores.protocol,
      elapsedMs: this.#elapsed(),
    });
    const summary = Object.entries(scores.metrics).map(
      ([name, value]) => `${name} ${value.toFixed(3)}`,
    );
    this.options.onNote?.(`step ${this.#step}: ${summary.join(", ")}`);
    if (withGrid) await this.#writeGrid(scores);
    this.#pace.restart();
    return scores;
  }

  async #writeGrid({ grid }: Evaluation): Promise<void> {
    if (!grid) return;
    const name = `step-${String(this.#step).padStart(7, "0")}.png`;
    await writeImage(join(this.options.out, "grids", name), tile(grid.clips, grid.columns));
  }

  #save(): void {
    const state = { step: this.#step, sample: this.loader.sample, config: this.config };
    const path = saveCheckpoint(this.options.out, this.recipe, state);
    this.log.write({ type: "checkpoint", step: this.#step, path });
    this.#pace.restart();
  }

  #interrupted(): TrainResult {
    this.#save();
    this.#end("interrupted");
    return { ...this.#result(), state: "interrupted", model: undefined, scores: undefined };
  }

  async #done(): Promise<TrainResult> {
    const scores = await this.#evaluate(this.config.train.gridEvery > 0);
    const model = join(this.options.out, "model");
    const { seed, data } = this.config;
    const { path, size, frames, fps } = data;
    const video = frames > 1 ? { frames, fps } : {};
    this.recipe.save(model, { steps: this.#step, seed, data: path, size, ...video });
    this.#end("done");
    return { ...this.#result(), state: "done", model, scores };
  }

  #result() {
    return { step: this.#step, folder: this.options.out, unreadable: this.loader.unreadable };
  }

  #end(state: "done" | "failed" | "interrupted", reason?: string): void {
    this.log.write({
      type: "end",
      state,
      step: this.#step,
      ...(reason ? { reason } : {}),
      elapsedMs: this.#elapsed(),
    });
  }

  #explain(error: NonFiniteError, files: readonly string[]): Error {
    const last = listCheckpoints(this.options.out).at(-1);
    const goOn = last ? `The last good checkpoint is ${last}.` : "No checkpoint was saved yet.";
    return new Error(
      `Step ${this.#step}: ${error.message} ${goOn} The batch's files:\n  ${files.join("\n  ")}`,
      { cause: error },
    );
  }

  #elapsed(): number {
    return Math.round(performance.now() - this.#started);
  }
}

function loaderOptions({ data, train, seed }: TrainConfig, startSample: number) {
  const { size, concurrency, prefetch, cacheMiB, shuffleBuffer } = data;
  const still = { scale: [1, 1], ratio: [1, 1] } as const;
  const ranges = data.augment ? { scale: data.cropScale } : still;
  const flip = data.augment && data.flip ? 0.5 : 0;
  return {
    ...{ batchSize: train.batchSize, size, augment: true, seed, startSample },
    ...{ concurrency, prefetch, cacheMiB, shuffleBuffer, ranges: { ...ranges, flip } },
  };
}

/** The checkpoint to go on from. A folder that holds a run is never overwritten. */
function findCheckpoint({ out, resume }: TrainOptions): string | undefined {
  const last = listCheckpoints(out).at(-1);
  if (resume) return last; // killed before its first checkpoint: from the start
  if (last)
    throw new ConfigError(
      `Expected a new folder for the run, received ${out}, which holds ${last}. Add --resume, or choose another --out.`,
    );
  if (existsSync(join(out, "run.jsonl"))) rmSync(join(out, "run.jsonl")); // a run that never saved anything
  return undefined;
}
