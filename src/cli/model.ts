// What the user calls a model: a model folder, or a run's folder with the model it exported. And where it is to run.

import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { readTrained } from "../codec/trained.js";
import { ConfigError } from "../config-error.js";
import type { WeightsId } from "../evaluate/protocol.js";
import { fileHash } from "../file-hash.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import { pickDevice } from "../torch/index.js";

export interface PlacementOptions {
  /** auto, cpu, cuda or cuda:N */
  readonly device?: string;
  readonly precision?: "float32" | "bfloat16" | "float16" | "float8";
}

export interface LoadedModel {
  readonly tokenizer: Tokenizer;
  readonly folder: string;
  /** Height and width that it was trained at, where its config tells; else the usual ones. */
  readonly size: number;
  /** Frames of a clip and their rate likewise. */
  readonly frames: number;
  readonly fps: number;
  readonly id: WeightsId;
}

/** Loads the model that `target` names. Dispose of its tokenizer. */
export async function loadModel(target: string, options: PlacementOptions): Promise<LoadedModel> {
  const folder = findModel(await localModel(target));
  const { device = "auto", precision = "float32" } = options;
  const tokenizer = await Tokenizer.load(folder, { device: pickDevice(device), dtype: precision });
  const { weights, ...trained } = readTrained(folder, tokenizer.config);
  const weightsHash = await fileHash(join(folder, "model.safetensors"));
  return { tokenizer, folder, ...trained, id: { weights, weightsHash } };
}

/** `target`, or where a model of the hub lies once it is fetched. */
export async function localModel(target: string): Promise<string> {
  if (!target.startsWith("hf://")) return target;
  const { fetchModel } = await import("../data/remote/hub-model.js");
  return fetchModel(target);
}

/** The trained model that comes with the package, where it does. */
export function starterModel(): string | undefined {
  const folder = fileURLToPath(new URL("../../models/starter", import.meta.url));
  return existsSync(join(folder, "model.safetensors")) ? folder : undefined;
}

/** The models named; where none is, the starter model. */
export function modelsOrStarter(targets: readonly string[] = []): readonly string[] {
  const starter = starterModel();
  return targets.length || !starter ? targets : [starter];
}

/** The model folder: `target` itself, or `target`/model of a run. */
export function findModel(target: string): string {
  const candidates = [target, join(target, "model")];
  const found = candidates.find((folder) => existsSync(join(folder, "config.json")));
  if (found) return found;
  const looked = candidates.map((folder) => join(folder, "config.json")).join(" or ");
  const isRun = existsSync(join(target, "run.jsonl"));
  throw new ConfigError(
    `Expected a model's or a run's folder for MODEL, received ${target}: there is no ${looked}. ` +
      (isRun
        ? `The run has exported none yet: let it finish, or name a folder in ${join(target, "checkpoints")}.`
        : "Train one: npx vitok train configs/smoke.yaml"),
  );
}

/** What a model is called: its folder's own name; of a run's `model` the run's. */
export function modelName(folder: string): string {
  const path = resolve(folder);
  return basename(path) === "model" ? basename(dirname(path)) : basename(path);
}
