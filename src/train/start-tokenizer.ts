// The tokenizer that a recipe begins with: fresh, or with the weights that `train.from` names; then frozen by name.
import { moveTo } from "../nn/parameters.js";
import { Tokenizer } from "../tokenizer/tokenizer.js";
import type { TrainConfig } from "./config.js";
import { freezeByName } from "./freezing.js";
import { startFrom } from "./model-start.js";

export interface StartedTokenizer {
  readonly tokenizer: Tokenizer;
  /** What was done, for the log. */
  readonly notes: readonly string[];
}

/** `isExact`: every weight has to come from `train.from`. Dispose of the tokenizer. */
export function startTokenizer(
  config: TrainConfig,
  device: string,
  options: { isExact: boolean },
): StartedTokenizer {
  const { model, seed, train } = config;
  const tokenizer = Tokenizer.create(model, { seed });
  try {
    const notes: string[] = [];
    if (train.from !== undefined) {
      const fresh = startFrom(tokenizer, train.from, options);
      notes.push(
        `weights of ${train.from}${fresh.length ? `; afresh, being of another shape: ${fresh.join(", ")}` : ""}`,
      );
    }
    const { learning, frozen } = freezeByName(tokenizer, train.freeze);
    if (frozen)
      notes.push(
        `${millions(learning)} parameters learn, ${millions(frozen)} are frozen (${train.freeze.join(", ")})`,
      );
    moveTo(tokenizer, { device });
    return { tokenizer, notes };
  } catch (error) {
    tokenizer.dispose();
    throw error;
  }
}

const millions = (count: number) => `${(count / 1e6).toFixed(2)} M`;
