// Files of scores, as `evaluate` and `metrics` write them (scores.json, or what --json prints).
import { readFileSync } from "node:fs";
import type { ScoreFile } from "./compare.js";

/** @throws an Error that names the file which is missing, no JSON, or without metrics and protocol */
export function readScores(path: string): ScoreFile {
  const found = parse(path);
  if (isObject(found) && isObject(found.metrics) && isObject(found.protocol))
    return found as unknown as ScoreFile;
  throw new Error(
    `Expected metrics and protocol in ${path}, received neither. Make it: vitok evaluate --json, or vitok metrics --json.`,
  );
}

function parse(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, "utf8"));
  } catch (cause) {
    throw new Error(
      `Expected a file of scores for ${path}, received ${(cause as Error).message}. Make it: vitok evaluate --json.`,
      { cause },
    );
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null;
