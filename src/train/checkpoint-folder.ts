// Which checkpoints a run has on disk, and which of them stay. What is in one is checkpoint.ts.
import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";

/** What state.json tells about a checkpoint's worth. */
export interface CheckpointFacts {
  readonly step: number;
  /** Of the metric that `train.keepBest` names, where an evaluation fell on this step. */
  readonly score?: number;
  /** Made by `train.saveEvery` with nothing wrong: one to roll back to. */
  readonly isGood?: boolean;
}

const pattern = /^step-\d+$/;

export const checkpointName = (step: number) => `step-${String(step).padStart(7, "0")}`;
export const checkpointRoot = (runFolder: string) => join(runFolder, "checkpoints");

/** The run's checkpoints, oldest first. */
export function listCheckpoints(runFolder: string): string[] {
  const root = checkpointRoot(runFolder);
  if (!existsSync(root)) return [];
  const names = readdirSync(root).filter((name) => pattern.test(name));
  return names.sort().map((name) => join(root, name));
}

const factsOf = (folder: string) =>
  JSON.parse(readFileSync(join(folder, "state.json"), "utf8")) as CheckpointFacts;

/** The newest checkpoint that is one to come back to. */
export function lastGoodCheckpoint(runFolder: string): string | undefined {
  return listCheckpoints(runFolder).findLast((folder) => factsOf(folder).isGood);
}

export interface Retention {
  /** The last so many. */
  readonly last: number;
  /** And the one of the best score. */
  readonly best?: "highest" | "lowest" | undefined;
}

/** Removes checkpoints, except the last ones, the best one and the last good one. */
export function removeOldCheckpoints(runFolder: string, { last, best }: Retention): void {
  const all = listCheckpoints(runFolder);
  const kept = new Set([...all.slice(-last), lastGoodCheckpoint(runFolder)]);
  if (best) kept.add(bestCheckpoint(runFolder, best));
  for (const folder of all) if (!kept.has(folder)) rmSync(folder, { recursive: true, force: true });
}

/** The checkpoint of the best score, the earlier of equals; undefined where none has one. */
export function bestCheckpoint(runFolder: string, best: "highest" | "lowest"): string | undefined {
  const sign = best === "highest" ? 1 : -1;
  const scored = listCheckpoints(runFolder).flatMap((folder) => {
    const { score } = factsOf(folder);
    return score === undefined ? [] : [{ folder, value: sign * score }];
  });
  const [first, ...others] = scored;
  return others.reduce((a, b) => (b.value > a!.value ? b : a), first)?.folder;
}

/** Removes the checkpoints of steps above `step`: a rollback made them void. */
export function removeLaterCheckpoints(runFolder: string, step: number): void {
  for (const folder of listCheckpoints(runFolder))
    if (factsOf(folder).step > step) rmSync(folder, { recursive: true, force: true });
}
