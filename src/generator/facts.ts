// What a generator's folder knows beside its weights: whose latents it makes, how they are standardised, on which grid, and
// what its classes are called. Pure TypeScript, as config.ts.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../config-error.js";
import {
  defineGenerator,
  ditName,
  type GeneratorConfig,
  type PartialGeneratorConfig,
} from "./config.js";

export interface GeneratorFacts {
  /** Of posterior samples, one a channel: network latent = (latent - mean) / std. */
  readonly latentMean: readonly number[];
  readonly latentStd: readonly number[];
  /** Tokens over (time, row, column) that it was trained on; a code without a grid is 1 x 1 x its length. */
  readonly grid: { readonly t: number; readonly h: number; readonly w: number };
  /** Pixels and frames of what it was trained on: the default of what it makes. */
  readonly size: { readonly frames: number; readonly height: number; readonly width: number };
  /** Frames a second of what it makes, where that is clips. */
  readonly fps?: number | undefined;
  /** In the order of the labels; empty where they have no names. */
  readonly classNames: readonly string[];
  /** Hash of the weights of the tokenizer whose latents these are: the first 16 hex digits of model.safetensors's SHA-256. */
  readonly tokenizerHash: string;
  /** Which weights the folder holds. */
  readonly weights: "raw" | "ema";
}

/** The form of config.json in a generator's folder. `kind` tells it from a tokenizer's. */
export function generatorToJson(
  config: GeneratorConfig,
  facts: GeneratorFacts,
): Record<string, unknown> {
  const { width, depth, heads, channels, classes, prediction } = config;
  const { t, h, w } = facts.grid;
  const { frames, height, width: columns } = facts.size;
  return {
    kind: "generator",
    variant: ditName(config),
    ...{ width, depth, heads, channels, classes, prediction },
    grid: [t, h, w],
    size: [frames, height, columns],
    ...(facts.fps === undefined ? {} : { fps: facts.fps }),
    latent_mean: facts.latentMean,
    latent_std: facts.latentStd,
    class_names: facts.classNames,
    tokenizer_hash: facts.tokenizerHash,
    weights: facts.weights,
  };
}

/** A folder's config.json, where it is a generator's; undefined where it is another model's, damaged or missing. */
export function readGeneratorJson(folder: string): Record<string, unknown> | undefined {
  const path = join(folder, "config.json");
  if (!existsSync(path)) return undefined;
  try {
    const json = JSON.parse(readFileSync(path, "utf8")) as { kind?: unknown } | null;
    return json?.kind === "generator" ? { ...json } : undefined;
  } catch {
    return undefined; // the reader of the other kind of model says what is wrong with it
  }
}

/** The network's part of config.json. @throws ConfigError with the file's name */
export function generatorFromJson(json: Record<string, unknown>, path: string): GeneratorConfig {
  if (json.kind !== "generator")
    throw new ConfigError(
      `Expected a generator's config ("kind": "generator") in ${path}, received another model's. Name a generator's folder.`,
    );
  try {
    return defineGenerator(json as PartialGeneratorConfig);
  } catch (cause) {
    throw new ConfigError(`${(cause as Error).message} (${path})`, { cause });
  }
}

/** The rest of it. @throws ConfigError with the file's name */
export function factsFromJson(json: Record<string, unknown>, path: string): GeneratorFacts {
  const { channels, classes, class_names: names, tokenizer_hash: hash, weights } = json;
  const fail = (what: string, key: string): never => {
    throw new ConfigError(
      `Expected ${what} for ${key} in ${path}, received ${JSON.stringify(json[key])}.`,
    );
  };
  const numbers = (key: string, isGood: (value: number) => boolean): number[] => {
    const list = json[key];
    const isRight = Array.isArray(list) && list.length === channels;
    return isRight && list.every((value) => Number.isFinite(value) && isGood(value))
      ? (list as number[])
      : fail(`${channels} numbers, one a channel,`, key);
  };
  const triple = (key: string): [number, number, number] => {
    const list = json[key];
    const isRight = Array.isArray(list) && list.length === 3;
    return isRight && list.every((value) => Number.isSafeInteger(value) && value > 0)
      ? (list as [number, number, number])
      : fail("three whole numbers above 0", key);
  };
  const [t, h, w] = triple("grid");
  const [frames, height, width] = triple("size");
  const isNamed = Array.isArray(names) && (names.length === 0 || names.length === classes);
  if (!isNamed) fail(`${classes} names, or none,`, "class_names");
  if (typeof hash !== "string") fail("a text", "tokenizer_hash");
  return {
    latentMean: numbers("latent_mean", () => true),
    latentStd: numbers("latent_std", (value) => value > 0),
    grid: { t, h, w },
    size: { frames, height, width },
    ...(Number(json.fps) > 0 ? { fps: Number(json.fps) } : {}),
    classNames: (names as unknown[]).map(String),
    tokenizerHash: hash as string,
    weights: weights === "ema" ? "ema" : "raw",
  };
}
