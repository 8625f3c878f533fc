// `vitok card MODEL`: the README.md of a model folder, from its config, its runs' logs and files of scores.

import { existsSync, readFileSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { ConfigError } from "../config-error.js";
import { readScores } from "../evaluate/score-file.js";
import { fileHash } from "../file-hash.js";
import { readSafetensorsHeader } from "../nn/safetensors.js";
import { fromJson } from "../tokenizer/config.js";
import { readRun } from "../train/log.js";
import { type CardFacts, modelCard } from "../train/model-card.js";
import { findModel, modelName } from "./model.js";
import { openOutput } from "./output.js";

interface CardOptions {
  readonly run: readonly string[];
  readonly scores: readonly string[];
  readonly about?: string;
  readonly license?: string;
  readonly json?: boolean;
}

export async function run([target = ""]: readonly string[], options: CardOptions): Promise<void> {
  const output = openOutput(options);
  const folder = resolve(findModel(target));
  const own = existsSync(join(target, "run.jsonl")) && !options.run.length ? [target] : [];
  const { about, license } = options;
  const facts: CardFacts = {
    ...{ name: modelName(folder), about, license },
    config: fromJson(JSON.parse(readFileSync(join(folder, "config.json"), "utf8"))),
    weights: await weightsOf(join(folder, "model.safetensors")),
    runs: [...options.run, ...own].map(recordOf),
    scores: Object.fromEntries(options.scores.map((file) => [file, readScores(file)])),
  };
  const path = join(folder, "README.md");
  writeFileAtomic(path, modelCard(facts));
  output.print(`${path}: ${facts.runs.length} runs, ${options.scores.length} files of scores.`);
  output.result({
    card: path,
    runs: facts.runs.map(({ folder }) => folder),
    weights: facts.weights,
  });
}

function recordOf(folder: string): CardFacts["runs"][number] {
  const record = readRun(folder);
  if (record) return record;
  throw new ConfigError(`Expected a run's folder for --run, received ${folder}: no run.jsonl.`);
}

async function weightsOf(path: string): Promise<CardFacts["weights"]> {
  const entries = [...readSafetensorsHeader(path).entries.values()];
  const dtypes = [...new Set(entries.map(({ dtype }) => dtype))];
  return { dtypes, bytes: statSync(path).size, hash: await fileHash(path) };
}
