// What a user is told where a step's loss or gradient is no number.
import { listCheckpoints } from "./checkpoint-folder.js";
import type { NonFiniteError, TrainBatch } from "./recipe.js";

/** The step, the last checkpoint of the run's folder and the batch's files. */
export function explainNonFinite(
  error: NonFiniteError,
  { files }: TrainBatch,
  step: number,
  runFolder: string,
): Error {
  const last = listCheckpoints(runFolder).at(-1);
  const goOn = last ? `The last good checkpoint is ${last}.` : "No checkpoint was saved yet.";
  return new Error(
    `Step ${step}: ${error.message} ${goOn} The batch's files:\n  ${files.join("\n  ")}`,
    { cause: error },
  );
}
