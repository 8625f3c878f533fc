// What the training loop, the checkpoints and the report need of a recipe. Each recipe is a file beside this one: stage1.ts.
// Which of them a config asks for is create-recipe.ts.
import type { LatentBatch } from "../codec/latent-loader.js";
import type { Batch } from "../data/batch.js";
import type { Source } from "../data/source.js";
import type { ReportData } from "../evaluate/report.js";
import type { Clip } from "../media/clip.js";
import type { Tensor } from "../torch/index.js";

/** What a step is given: pictures, or their latents. */
export type TrainBatch = Batch | LatentBatch;

/** Where batches come from: data/loader.ts, or codec/latent-loader.ts. */
export interface BatchLoader {
  next(): Promise<TrainBatch | undefined>;
  /** Global index of the next batch's first sample. */
  readonly sample: number;
  readonly waitMs: number;
  readonly unreadable: readonly { file: string; reason: string }[];
  /** Those of them that were not told yet. */
  newlyUnreadable(): readonly { file: string; reason: string }[];
  close(): void;
}

export interface Recipe {
  readonly device: string;
  /** The name of what trains, for log and report. */
  readonly variant: string;
  /** What trains, its raw weights: a checkpoint is its model folder with the states beside it. */
  readonly model: SavableModel;
  /** Everything else that going on exactly needs, by the name of its file in a checkpoint: `optimizer`, `ema`. */
  readonly states: Readonly<Record<string, RecipeState>>;
  /** Numbers that change from step to step besides; they go into state.json and are put back. */
  readonly numbers: Record<string, number>;
  /** Floating-point operations of training on one sample, for MFU. */
  readonly flopsPerSample: number;
  /**
   * Forward, backward, clip, update. `step` counts from 0; every random choice is keyed by it or by `batch.indices`.
   * @throws {NonFiniteError} before the update
   */
  step(batch: TrainBatch, step: number): StepResult;
  /**
   * Queues a step and tells its result later, when the function returned is called: the next step may be started before, no
   * more. Undefined for a batch that only step() can take. What does not need recover() may have it.
   */
  start?(batch: TrainBatch, step: number): (() => StepResult) | undefined;
  /** Of one sample, where it is not the config's model that says so. */
  readonly latent?: { readonly tokens: number; readonly latentSize: number };
  /** Where the data are no pictures; undefined for the loop's own loader. */
  openLoader?(startSample: number): BatchLoader | undefined;
  /** What was done to begin: weights taken over, what is frozen. */
  readonly notes?: readonly string[];
  /** Nothing is wrong: a state to roll back to. */
  readonly isGood?: boolean;
  /** After a rollback: its state is that of an earlier checkpoint, `lost` are the numbers given up. Without it there is none. */
  recover?(lost: Readonly<Record<string, number>>): RunEvent;
  /** Scores what `save` would export now; undefined where this process only gave its share. */
  evaluate(source: Source, options: EvaluateRequest): Promise<Evaluation | undefined>;
  /** Writes the model folder that others load; `provenance` goes into its config.json. */
  save(folder: string, provenance: Readonly<Record<string, unknown>>): void;
  dispose(): void;
}

/** A model: parameters found by walking it, and a folder it writes. */
export interface SavableModel {
  save(folder: string, extra?: Record<string, unknown>): void;
}

/** Named tensors that are saved and put back: an optimizer, averaged weights. */
export interface RecipeState {
  stateDict(): Record<string, Tensor>;
  loadStateDict(tensors: Readonly<Record<string, Tensor>>): void;
}

/** What a step tells: `terms` are unweighted. */
export interface StepResult {
  readonly loss: number;
  readonly terms: Readonly<Record<string, number>>;
  readonly gradNorm: number;
  readonly lr: number;
  /** What else there is to watch, by name: the discriminator's logits. */
  readonly gauges?: Readonly<Record<string, number>>;
  readonly events?: readonly RunEvent[];
  /** Why training should go back to the last good checkpoint. */
  readonly rollback?: string;
}

/** Something that happened in a run and that its reader should know. */
export interface RunEvent {
  /** In kebab-case: `discriminator-too-strong`. */
  readonly kind: string;
  readonly text: string;
}

export interface EvaluateRequest {
  /** The first so many files of the set; all of them by default. */
  readonly count?: number | undefined;
  /** Only pictures are wanted, scores may be left out. */
  readonly isGridOnly?: boolean;
  /** Several processes: all of them evaluate, each its part; the first gets the scores. */
  readonly share?: EvaluationShare | undefined;
}

export interface EvaluationShare {
  readonly part: { readonly index: number; readonly count: number };
  /** Returns when all processes have called it. */
  meet(): void;
  /** Where the parts' states lie meanwhile; all processes see it. */
  readonly folder: string;
}

export interface Evaluation {
  /** By the papers' names. */
  readonly metrics: Readonly<Record<string, number>>;
  /** What the metrics were measured on, and how. */
  readonly protocol: Readonly<Record<string, unknown>>;
  /** Pictures to look at, row by row. */
  readonly grid: { readonly clips: readonly Clip[]; readonly columns: number } | undefined;
  /** What a report page says about this evaluation. */
  readonly report: Omit<ReportData, "title" | "summary" | "charts" | "command" | "config">;
}

/** A loss or gradient that is no number: the step has changed nothing. */
export class NonFiniteError extends Error {
  override readonly name = "NonFiniteError";
}
