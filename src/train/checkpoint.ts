// Checkpoints: folders under checkpoints/, each a model folder with the recipe's states and state.json beside it. A folder is made
// under another name and renamed when all of it is on disk, so what carries a checkpoint's name is whole.
import {
  closeSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
} from "node:fs";
import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { ConfigError } from "../config-error.js";
import { loadStateDict } from "../nn/parameters.js";
import { readSafetensors, writeSafetensors } from "../nn/safetensors.js";
import { scope } from "../torch/index.js";
import {
  type CheckpointFacts,
  checkpointName,
  checkpointRoot,
  removeOldCheckpoints,
} from "./checkpoint-folder.js";
import type { TrainConfig } from "./config.js";
import type { Recipe } from "./recipe.js";

/** Where a run is: with the weights and the optimizer, all it needs to go on exactly. */
export interface TrainState extends CheckpointFacts {
  /** Updates made. */
  readonly step: number;
  /** Global index of the next training sample. */
  readonly sample: number;
  readonly config: TrainConfig;
}

/** What state.json holds. */
type Written = TrainState & Pick<Recipe, "numbers">;

/** Writes a checkpoint and removes those that need not stay; returns its folder. */
export function saveCheckpoint(runFolder: string, recipe: Recipe, state: TrainState): string {
  const root = checkpointRoot(runFolder);
  const name = checkpointName(state.step);
  const [folder, draft] = [join(root, name), join(root, `.${name}.${process.pid}.tmp`)];
  try {
    mkdirSync(draft, { recursive: true });
    // The states first: where processes share the optimizer's, asking for it brings the weights together, too.
    for (const [name, part] of Object.entries(recipe.states))
      scope(() => writeSafetensors(join(draft, `${name}.safetensors`), part.stateDict()));
    recipe.model.save(draft);
    const written = { ...state, numbers: recipe.numbers };
    writeFileAtomic(join(draft, "state.json"), `${JSON.stringify(written, null, 2)}\n`);
    rmSync(folder, { recursive: true, force: true });
    renameSync(draft, folder);
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
  syncFolder(root);
  const { keepCheckpoints: last, keepBest } = state.config.train;
  removeOldCheckpoints(runFolder, { last, best: keepBest && betterOf(keepBest) });
  return folder;
}

/** What processes that write no checkpoint do meanwhile: their share of a state is asked of them. */
export function joinCheckpoint(recipe: Recipe): void {
  for (const part of Object.values(recipe.states)) scope(() => void part.stateDict());
}

/** Puts a checkpoint's weights, states and numbers into a recipe and returns where it was. */
export function loadCheckpoint(folder: string, recipe: Recipe, config: TrainConfig): TrainState {
  const written = JSON.parse(readFileSync(join(folder, "state.json"), "utf8")) as Written;
  const { numbers, ...state } = written;
  requireSameRecipe(state.config, config, folder);
  const read = (name: string) => readSafetensors(join(folder, `${name}.safetensors`));
  scope(() => loadStateDict(recipe.model, read("model")));
  for (const [name, part] of Object.entries(recipe.states))
    scope(() => part.loadStateDict(read(name)));
  Object.assign(recipe.numbers, numbers);
  return state;
}

/** May differ between a run and its continuation: none of them changes what a step computes, rounding aside. */
const free =
  /^(device|out|generator\.sample\.|evaluate\.|data\.(concurrency|prefetch|cacheMiB)|train\.(logEvery|evalEvery|saveEvery|gridEvery|keepCheckpoints|keepBest|tensorboard|threads|shardOptimizer|tf32|kernels|graph))/;

function requireSameRecipe(saved: TrainConfig, wanted: TrainConfig, folder: string): void {
  const [before, now] = [flatten(saved), flatten(wanted)];
  const differing = Object.keys({ ...before, ...now }).filter(
    (key) => !free.test(key) && before[key] !== now[key],
  );
  if (differing.length)
    throw new ConfigError(
      `Expected the recipe that ${folder} was trained by, received another: ` +
        `${differing.map((key) => `${key} was ${before[key]}, is ${now[key]}`).join("; ")}. Resume with the old values, or start anew with --out.`,
    );
}

function flatten(value: object, prefix = ""): Record<string, string> {
  return Object.fromEntries(
    Object.entries(value).flatMap(([key, item]) =>
      typeof item === "object" && item !== null && !Array.isArray(item)
        ? Object.entries(flatten(item, `${prefix}${key}.`))
        : [[prefix + key, JSON.stringify(item)]],
    ),
  );
}

/** The metric of a recipe's name among those of an evaluation: `fid` is rFID, gFID-768 and so on. */
export function scoreOf(metrics: Readonly<Record<string, number>>, metric: string) {
  const pattern = new RegExp(`^[rg]?${metric}(-\\d+)?$`, "i");
  return Object.entries(metrics).find(([name]) => pattern.test(name))?.[1];
}

/** Which way a metric is better. */
export function betterOf(metric: string): "highest" | "lowest" {
  return /^(lpips|fid|fvd)/.test(metric) ? "lowest" : "highest";
}

function syncFolder(folder: string): void {
  const fd = openSync(folder, "r");
  fsyncSync(fd);
  closeSync(fd);
}
