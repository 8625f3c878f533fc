// The training loop: data, steps, log, evaluation, picture grids, checkpoints, signals. What a step computes is the recipe's.
import { join } from "node:path";
import { setImmediate as nextTurn } from "node:timers/promises";
import { memory } from "../torch/index.js";
import { betterOf, joinCheckpoint, loadCheckpoint, saveCheckpoint, scoreOf } from "./checkpoint.js";
import {
  bestCheckpoint,
  checkpointName,
  lastGoodCheckpoint,
  listCheckpoints,
  removeLaterCheckpoints,
} from "./checkpoint-folder.js";
import type { TrainConfig } from "./config.js";
import { createRecipe } from "./create-recipe.js";
import { type Team, withTeam } from "./data-parallel.js";
import { type Follower, openFollowers } from "./followers.js";
import { writeGrid } from "./grid-file.js";
import { type LogLine, RunLog } from "./log.js";
import { explainNonFinite } from "./non-finite.js";
import { areaShare, Pace } from "./pace.js";
import {
  type BatchLoader,
  type Evaluation,
  NonFiniteError,
  type Recipe,
  type RunEvent,
  type StepResult,
} from "./recipe.js";
import {
  findCheckpoint,
  openLoader,
  openSources,
  provenanceOf,
  type RunSources,
  runLine,
  setEngine,
  unwatched,
} from "./run-setup.js";
import { type Outcome, StepsUnderWay } from "./steps-under-way.js";
import type { TrainOptions, TrainResult } from "./train-options.js";

/** Trains by a recipe until its last step or the signal. A run killed at any moment and resumed ends as one never killed. */
export function train(config: TrainConfig, options: TrainOptions): Promise<TrainResult> {
  const resumeCommand = `${options.command} --resume`;
  return withTeam({ device: config.device, resumeCommand }, async (team) => {
    const trainer = await Trainer.open(team, config, team.isFirst ? options : unwatched(options));
    try {
      return await trainer.run();
    } finally {
      await trainer.close();
    }
  });
}

class Trainer {
  readonly #started = performance.now();
  readonly #pace: Pace;
  readonly #steps: StepsUnderWay;
  #loader: BatchLoader;
  #step: number;
  /** Of `train.keepBest`, at the step where it was measured last. */
  #scored: { step: number; score: number } | undefined;

  private constructor(
    private readonly team: Team,
    private readonly config: TrainConfig,
    private readonly options: TrainOptions,
    private readonly recipe: Recipe,
    private readonly sources: RunSources,
    private readonly log: RunLog | undefined, // rank 0 writes
    private readonly followers: readonly Follower[],
    start: { step: number; sample: number },
  ) {
    this.#step = start.step;
    this.#steps = new StepsUnderWay(recipe);
    this.#loader = this.#openLoader(start.sample);
    this.#pace = new Pace(recipe, () => this.#loader.waitMs, config.train.precision, team.size);
  }

  #openLoader(sample: number): BatchLoader {
    const from = { startSample: sample, place: this.team };
    return this.recipe.openLoader?.(sample) ?? openLoader(this.config, this.sources, from);
  }

  static async open(team: Team, config: TrainConfig, options: TrainOptions): Promise<Trainer> {
    const { device } = team;
    setEngine(config, device);
    const checkpoint = findCheckpoint(options, team);
    const sources = await openSources(config);
    const recipe = await createRecipe(config, device, { checkpoint, together: team });
    const state = checkpoint ? loadCheckpoint(checkpoint, recipe, config) : { step: 0, sample: 0 };
    team.requireSame(state.step, `last checkpoint in ${options.out}`);
    const log = team.isFirst ? new RunLog(options.out) : undefined;
    const resumedAtStep = checkpoint ? state.step : undefined;
    const { out: folder, onNote = () => undefined } = options;
    const followers = log ? openFollowers(config, { folder, resumedAtStep, onNote }) : [];
    const trainer = new Trainer(team, config, options, recipe, sources, log, followers, state);
    trainer.#log(runLine(config, recipe, { ...options, resumedAtStep, processes: team.size }));
    return trainer;
  }

  async run(): Promise<TrainResult> {
    this.options.onStart?.(this.#step);
    if (this.#step === 0) this.#begin();
    try {
      while (this.#step < this.config.train.steps) {
        await this.#trainStep();
        if (this.team.any(this.options.signal?.aborted ?? false)) return this.#interrupted();
        await nextTurn(); // decoding and signals get their turn
      }
      return await this.#done();
    } catch (error) {
      this.#end("failed", error instanceof Error ? error.message : String(error));
      throw error;
    }
  }

  /** What the recipe did to begin, and a first checkpoint where there may be a way back to it. */
  #begin(): void {
    for (const text of this.recipe.notes ?? []) this.#tell({ kind: "start", text });
    if (this.recipe.recover) this.#save({ isScheduled: true });
  }

  async close(): Promise<void> {
    this.#loader.close();
    this.log?.close();
    this.recipe.dispose();
    for (const follower of this.followers) await follower.close();
  }

  async #trainStep(): Promise<void> {
    const { steps, evalEvery, saveEvery, gridEvery } = this.config.train;
    const batch = await this.#loader.next();
    if (!batch)
      throw new Error(`Expected readable files in ${this.sources.training.name}, found none.`);
    if (!this.#settle(this.#steps.push(batch, this.#step), this.#step + 1)) return;
    const isDue = (every: number) => every > 0 && this.#step % every === 0 && this.#step < steps;
    if ([evalEvery, saveEvery, gridEvery].some(isDue)) this.#settle(this.#steps.drain());
    if (isDue(evalEvery)) await this.#evaluate(isDue(gridEvery));
    else if (isDue(gridEvery)) await this.#evaluate(true, { isGridOnly: true });
    if (isDue(saveEvery)) this.#save({ isScheduled: true });
  }

  /** Reports steps that are over; false where one of them went back to a checkpoint, else the run is at step `next`. */
  #settle(outcomes: Iterable<Outcome>, next = this.#step): boolean {
    for (const outcome of outcomes) {
      const { step, batch, result } = outcome;
      const isSound = !(result instanceof NonFiniteError);
      this.#step = isSound ? next : step;
      if (isSound) this.#report(result, outcome);
      else if (!this.recipe.recover) throw explainNonFinite(result, batch, step, this.options.out);
      const reason = isSound ? result.rollback : result.message;
      if (reason === undefined) continue;
      this.#rollBack(reason);
      return false;
    }
    this.#step = next;
    return true;
  }

  #report(result: StepResult, { batch, step: before }: Outcome): void {
    const { logEvery } = this.config.train;
    const step = before + 1;
    const { events = [], rollback: _, ...told } = result;
    const pace = this.#pace.count(batch.shape[0], areaShare(batch, this.config.data));
    this.options.onStep?.(step, { loss: result.loss, ...pace });
    for (const event of events) this.#tell(event);
    for (const { reason } of this.#loader.newlyUnreadable())
      this.#tell({ kind: "unreadable", text: reason });
    if (logEvery === 0 || step % logEvery !== 0) return;
    const { rate, ...shares } = pace;
    this.#log({
      type: "step",
      step,
      ...told,
      imagesPerSecond: rate,
      ...shares,
      memoryMiB: Math.round(memory(this.recipe.device).peakBytes / 2 ** 20),
      elapsedMs: this.#elapsed(),
    });
    this.#pace.restart();
  }

  #log(line: LogLine): void {
    this.log?.write(line);
    for (const follower of this.followers) follower.write(line);
  }

  #tell({ kind, text }: RunEvent): void {
    this.#log({ type: "event", step: this.#step, kind, text });
    this.options.onNote?.(`step ${this.#step}: ${text}`);
  }

  /** Back to the last good checkpoint, by a recipe that has learnt from it. Replayed after a kill it comes out the same. */
  #rollBack(reason: string): void {
    const lost = { ...this.recipe.numbers };
    const good = lastGoodCheckpoint(this.options.out);
    if (!good) throw new Error(`Expected a good checkpoint to go back to, found none: ${reason}.`);
    const { step, sample } = loadCheckpoint(good, this.recipe, this.config);
    this.#tell({ kind: "rollback", text: `${reason}: back to step ${step}` });
    this.#log({ type: "rollback", step: this.#step, toStep: step });
    this.team.meet(); // all have read it
    if (this.team.isFirst) removeLaterCheckpoints(this.options.out, step);
    this.#loader.close();
    this.#loader = this.#openLoader(sample);
    this.#step = step;
    this.#tell(this.recipe.recover!(lost));
    this.#pace.restart();
  }

  /** All processes look, rank 0 gets the scores. */
  async #evaluate(withGrid: boolean, { isGridOnly = false } = {}): Promise<Evaluation | undefined> {
    const count = isGridOnly ? 8 : this.config.evaluate.count;
    const request = { count, isGridOnly, share: this.team.share(this.options.out) };
    const scores = await this.recipe.evaluate(this.sources.evaluation, request);
    const metrics = this.team.gather(scores ? scores.metrics : {})[0]!;
    const { keepBest } = this.config.train;
    // What a checkpoint of this step is worth; an evaluation of a few pictures says nothing.
    const isWhole = count === this.config.evaluate.count;
    const score = keepBest && isWhole ? scoreOf(metrics, keepBest) : undefined;
    if (score !== undefined) this.#scored = { step: this.#step, score };
    if (!scores) return undefined;
    const { protocol } = scores;
    this.#log({ type: "eval", step: this.#step, metrics, protocol, elapsedMs: this.#elapsed() });
    const summary = Object.entries(metrics).map(([name, value]) => `${name} ${value.toFixed(3)}`);
    if (summary.length) this.options.onNote?.(`step ${this.#step}: ${summary.join(", ")}`);
    if (withGrid) await this.#writeGrid(scores);
    this.#pace.restart();
    return scores;
  }

  async #writeGrid({ grid }: Evaluation): Promise<void> {
    if (!grid) return;
    const name = `step-${String(this.#step).padStart(7, "0")}.png`;
    const path = join(this.options.out, "grids", name);
    const picture = await writeGrid(path, grid, this.config.data.fps);
    for (const follower of this.followers) follower.picture(this.#step, path, picture);
  }

  #save({ isScheduled }: { isScheduled: boolean }): void {
    const [step, scored] = [this.#step, this.#scored];
    if (!this.team.isFirst) return void joinCheckpoint(this.recipe);
    const path = saveCheckpoint(this.options.out, this.recipe, {
      ...{ step, sample: this.#loader.sample, config: this.config },
      ...(scored?.step === step ? { score: scored.score } : {}),
      isGood: isScheduled && (this.recipe.isGood ?? true),
    });
    this.#log({ type: "checkpoint", step, path });
    this.#pace.restart();
  }

  #interrupted(): TrainResult {
    this.#settle(this.#steps.drain());
    // A scheduled checkpoint that this step made already is not made worse.
    if (!listCheckpoints(this.options.out).at(-1)?.endsWith(checkpointName(this.#step)))
      this.#save({ isScheduled: false });
    this.#end("interrupted");
    return { ...this.#result(), state: "interrupted", model: undefined, scores: undefined };
  }

  async #done(): Promise<TrainResult> {
    this.#settle(this.#steps.drain());
    this.#save({ isScheduled: true }); // the evaluation may take long, may fail, and may be killed
    const model = join(this.options.out, "model");
    if (this.team.isFirst) this.recipe.save(model, provenanceOf(this.config, this.#step));
    const scores = await this.#evaluate(this.config.train.gridEvery > 0);
    if (this.#scored) this.#save({ isScheduled: true });
    this.#tellBest();
    this.#end("done");
    return { ...this.#result(), state: "done", model, scores };
  }

  #tellBest(): void {
    const { keepBest } = this.config.train;
    const best = keepBest && bestCheckpoint(this.options.out, betterOf(keepBest));
    if (best) this.#tell({ kind: "best", text: `the best ${keepBest} is that of ${best}` });
  }

  #result() {
    const unreadable = this.team.gather(this.#loader.unreadable).flat();
    return { step: this.#step, folder: this.options.out, unreadable, rank: this.team.rank };
  }

  #end(state: "done" | "failed" | "interrupted", reason?: string): void {
    this.#log({
      type: "end",
      state,
      step: this.#step,
      ...(reason ? { reason } : {}),
      elapsedMs: this.#elapsed(),
    });
  }

  #elapsed(): number {
    return Math.round(performance.now() - this.#started);
  }
}
