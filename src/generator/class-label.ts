// What people call a class, by number or by name, as the label that the network takes.
import { ConfigError } from "../config-error.js";
import { nearest } from "../nearest.js";

/** What there is to choose from: so many classes, with names or without. */
export interface Classes {
  readonly classes: number;
  /** In the order of the labels; may be empty. */
  readonly classNames: readonly string[];
}

/** The label of a class. @throws ConfigError that names the nearest class, or the first ones */
export function labelOf(word: string, { classes, classNames }: Classes): number {
  const named = classNames.indexOf(word); // a name wins: it may be a number itself
  const label = named < 0 && /^\d+$/.test(word) ? Number(word) : named;
  if (label >= 0 && label < classes) return label;
  const near = nearest(word, classNames);
  const hint = near
    ? ` Did you mean "${near}"?`
    : classNames.length
      ? ` Names: ${classNames.slice(0, 12).join(", ")}${classNames.length > 12 ? ", ..." : ""}.`
      : "";
  throw new ConfigError(
    `Expected a class from 0 to ${classes - 1}${classNames.length ? " or its name" : ""}, received ${word}.${hint}`,
  );
}
