// Where a run's weights come from when it starts from another's: a model folder, a run or a checkpoint. What has the same shape
// is taken over; layers at the ends, whose shape follows c, p and q, may differ and then start afresh.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { ConfigError } from "../config-error.js";
import { loadStateDict, stateDict } from "../nn/parameters.js";
import { readSafetensors } from "../nn/safetensors.js";
import { fromJson, type TokenizerConfig } from "../tokenizer/config.js";
import type { Tokenizer } from "../tokenizer/tokenizer.js";
import { scope } from "../torch/index.js";
import { listCheckpoints } from "./checkpoint-folder.js";

/** The architecture of the model that `target` names. @throws ConfigError where there is none */
export function configOfModel(target: string): TokenizerConfig {
  const path = join(findModelFolder(target), "config.json");
  try {
    return fromJson(JSON.parse(readFileSync(path, "utf8")));
  } catch (cause) {
    const { message } = cause as Error;
    throw new ConfigError(`Expected a model's config in ${path} for train.from: ${message}`, {
      cause,
    });
  }
}

/** A model folder itself, a run's exported model, or its last checkpoint. */
export function findModelFolder(target: string, key = "train.from"): string {
  const candidates = [target, join(target, "model"), ...listCheckpoints(target).slice(-1)];
  const found = candidates.find((folder) => existsSync(join(folder, "config.json")));
  if (found) return found;
  throw new ConfigError(
    `Expected a model's, run's or checkpoint's folder for ${key}, received ${target}, which holds no config.json, ` +
      "model/ or checkpoints/. Train stage 1 first, or name another folder.",
  );
}

/** Their shape follows c, p and q: a model of other ones is continued with fresh weights there. */
const mayDiffer =
  /^(encoder\.(patch_embed|to_latent)|decoder\.(from_latent|to_pixels))\.|^decoder\.mask_token$/;

/**
 * Copies the weights of `target` into a tokenizer; returns the names of those that keep their fresh start.
 * @throws ConfigError naming what does not fit, or anything fresh where `isExact`
 */
export function startFrom(
  tokenizer: Tokenizer,
  target: string,
  options: { isExact: boolean },
): string[] {
  const path = join(findModelFolder(target), "model.safetensors");
  return scope(() => {
    const own = stateDict(tokenizer);
    const given = readSafetensors(path);
    const isSame = (name: string) => String(own[name]?.shape) === String(given[name]?.shape);
    const differing = [...new Set([...Object.keys(own), ...Object.keys(given)])].filter(
      (name) => !isSame(name),
    );
    const wrong = options.isExact ? differing : differing.filter((name) => !mayDiffer.test(name));
    if (wrong.length) throw misfit(path, wrong, { own, given, isExact: options.isExact });
    const fresh = differing.filter((name) => name in own);
    const taken = Object.keys(own).map((name) => [name, isSame(name) ? given[name]! : own[name]!]);
    loadStateDict(tokenizer, Object.fromEntries(taken));
    return fresh;
  });
}

type Named = Readonly<Record<string, { readonly shape: readonly number[] }>>;

function misfit(
  path: string,
  names: readonly string[],
  { own, given, isExact }: { own: Named; given: Named; isExact: boolean },
): ConfigError {
  const shape = (tensors: Named, name: string) =>
    tensors[name] ? `[${tensors[name].shape}]` : "nothing";
  const shown = names
    .slice(0, 6)
    .map((name) => `${name}: expected ${shape(own, name)}, received ${shape(given, name)}`);
  const more = names.length > shown.length ? `; and ${names.length - shown.length} more` : "";
  const advice = isExact
    ? "Stage 2 continues the very model: leave the model section out."
    : "Another patch size, tubelet size or number of channels can be continued; other towers and latent tokens cannot.";
  return new ConfigError(
    `Expected weights that fit the recipe's model in ${path}, received others: ${shown.join("; ")}${more}. ${advice}`,
  );
}
