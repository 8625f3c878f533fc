// Which parameters learn: those whose name no pattern of `train.freeze` matches. `*` stands for any letters, dots too.
import { ConfigError } from "../config-error.js";
import { parameters } from "../nn/parameters.js";

/**
 * Stops parameters from learning by name; returns how many numbers learn and how many are frozen.
 * @throws ConfigError for a pattern that matches nothing, and where nothing is left to learn
 */
export function freezeByName(
  model: object,
  patterns: readonly string[],
): { learning: number; frozen: number } {
  const named = [...parameters(model)];
  const rules = patterns.map((pattern) => ({ pattern, matches: matcherOf(pattern) }));
  const idle = rules.find(({ matches }) => !named.some(([name]) => matches(name)));
  if (idle)
    throw new ConfigError(
      `Expected patterns that match a parameter for train.freeze, received "${idle.pattern}". ` +
        `Names are such as ${named[0]?.[0]} and ${named.at(-1)?.[0]}; * stands for any letters.`,
    );
  const count = { learning: 0, frozen: 0 };
  for (const [name, tensor] of named) {
    const isFrozen = rules.some(({ matches }) => matches(name));
    tensor.requiresGrad_(!isFrozen);
    count[isFrozen ? "frozen" : "learning"] += tensor.numel;
  }
  if (count.learning === 0)
    throw new ConfigError(
      `Expected a parameter to learn, received train.freeze: [${patterns.join(", ")}], which freezes all.`,
    );
  return count;
}

function matcherOf(pattern: string): (name: string) => boolean {
  const parts = pattern.split("*").map((part) => part.replace(/[.+?^${}()|[\]\\]/g, "\\$&"));
  const expression = new RegExp(`^${parts.join(".*")}$`);
  return (name) => expression.test(name);
}
