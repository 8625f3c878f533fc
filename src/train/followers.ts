// What a run tells beside run.jsonl, where the recipe asks for it: TensorBoard's events, an MLflow server.
import { readFileSync } from "node:fs";
import type { TrainConfig } from "./config.js";
import type { LogLine } from "./log.js";
import { MlflowRun } from "./mlflow.js";
import { EventFile, writeLine } from "./tensorboard.js";

export interface Follower {
  write(line: LogLine): void;
  /** A grid of pictures that lies at `path`. */
  picture(step: number, path: string, size: { height: number; width: number }): void;
  close(): Promise<void>;
}

interface FollowOptions {
  /** The run's folder. */
  readonly folder: string;
  readonly resumedAtStep: number | undefined;
  readonly onNote: (text: string) => void;
}

export function openFollowers(
  { train: { tensorboard, mlflow } }: TrainConfig,
  { folder, resumedAtStep, onNote }: FollowOptions,
): Follower[] {
  const experiment = process.env.MLFLOW_EXPERIMENT_NAME ?? "vitok";
  return [
    ...(tensorboard ? [eventFollower(new EventFile(folder, { resumedAtStep }))] : []),
    ...(mlflow ? [new MlflowRun({ url: mlflow, folder, experiment, onNote })] : []),
  ];
}

function eventFollower(file: EventFile): Follower {
  return {
    write: (line) => writeLine(file, line),
    picture: (step, path, size) =>
      file.picture(step, "grid", { ...size, encoded: readFileSync(path) }),
    close: async () => file.close(),
  };
}
