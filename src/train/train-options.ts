// What a caller of train() gives and gets.
import type { Evaluation } from "./recipe.js";

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
  /** This process's place among those that trained together: 0 has the scores and wrote the files. */
  readonly rank: number;
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
