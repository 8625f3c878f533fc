// Steps that were started and not reported yet: one at most, of a recipe that runs ahead; none of others.
import { NonFiniteError, type Recipe, type StepResult, type TrainBatch } from "./recipe.js";

/** What a step came to; `step` counts from 0. */
export interface Outcome {
  readonly step: number;
  readonly batch: TrainBatch;
  readonly result: StepResult | NonFiniteError;
}

export class StepsUnderWay {
  #last: (() => Outcome) | undefined;

  constructor(private readonly recipe: Pick<Recipe, "start" | "step">) {}

  /** Starts a step. Returns what is over: the step itself, or where it runs ahead the one before it. */
  *push(batch: TrainBatch, step: number): Generator<Outcome> {
    const finish = this.recipe.start?.(batch, step);
    const outcome = (run: () => StepResult) => ({ step, batch, result: orNonFinite(run) });
    const before = this.#last;
    this.#last = finish && (() => outcome(finish));
    if (before) yield before();
    if (!finish) yield outcome(() => this.recipe.step(batch, step));
  }

  /** Waits for the step that is under way, if one is. */
  *drain(): Generator<Outcome> {
    const last = this.#last;
    this.#last = undefined;
    if (last) yield last();
  }
}

function orNonFinite(run: () => StepResult): Outcome["result"] {
  try {
    return run();
  } catch (error) {
    if (error instanceof NonFiniteError) return error;
    throw error;
  }
}
