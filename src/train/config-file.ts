// YAML against a schema: positions, overrides, and errors a person can act on.
// It knows no key of any recipe: those are in config.ts.

import { readFileSync } from "node:fs";
import {
  Document,
  isMap,
  isNode,
  LineCounter,
  type Node,
  type Pair,
  parse,
  parseDocument,
} from "yaml";
import { z } from "zod";
import { ConfigError } from "../config-error.js";
import { nearest } from "../nearest.js";

type Path = readonly PropertyKey[];

/**
 * The file's recipe, overridden by `sets`, checked by `schema` and finished by `complete`.
 * @throws ConfigError naming file, line and column
 */
export function readConfigFile<S extends z.ZodObject, T>(
  path: string,
  options: { sets: readonly string[]; schema: S; complete: (value: z.output<S>) => T },
): T {
  const source = openSource(path);
  for (const set of options.sets) override(source.document, set);
  return check(source, options);
}

/**
 * The same for a config that another file gives in parts: `name` is what errors call it.
 * @throws ConfigError without line and column
 */
export function checkConfig<S extends z.ZodObject, T>(
  value: object,
  { name, ...options }: { name: string; schema: S; complete: (value: z.output<S>) => T },
): T {
  return check({ path: name, document: new Document(value), lines: new LineCounter() }, options);
}

function check<S extends z.ZodObject, T>(
  source: Source,
  { schema, complete }: { schema: S; complete: (value: z.output<S>) => T },
): T {
  const result = schema.safeParse(source.document.toJS() ?? {}, { reportInput: true });
  if (!result.success) {
    const lines = result.error.issues.flatMap((issue) => explain(issue, schema, source));
    throw new ConfigError(lines.join("\n"), { cause: result.error });
  }
  try {
    return complete(result.data);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    throw new ConfigError(`${error.message} (${source.path})`, { cause: error });
  }
}

interface Source {
  readonly path: string;
  readonly document: Document;
  readonly lines: LineCounter;
}

function openSource(path: string): Source {
  const lines = new LineCounter();
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (cause) {
    const message = `Expected a YAML file for the config, received "${path}", which cannot be read.`;
    throw new ConfigError(`${message} See configs/ for recipes to start from.`, { cause });
  }
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false });
  const [error] = document.errors;
  if (error) {
    const { line, col } = lines.linePos(error.pos[0]);
    throw new ConfigError(`${error.message} (${path}:${line}:${col})`, { cause: error });
  }
  return { path, document, lines };
}

/** Applies `a.b=value`; the new node has no position, by which an error knows where it came from. */
function override(document: Document, set: string): void {
  const equals = set.indexOf("=");
  const keys = set.slice(0, Math.max(equals, 0)).split(".");
  if (keys.some((key) => key === "")) {
    throw new ConfigError(
      `Expected key=value for --set, received "${set}". Write train.steps=100.`,
    );
  }
  try {
    document.setIn(keys, document.createNode(parse(set.slice(equals + 1))));
  } catch (cause) {
    throw new ConfigError(
      `Expected a key that takes the value for --set, received "${set}". Quote YAML where needed.`,
      { cause },
    );
  }
}

function explain(issue: z.core.$ZodIssue, schema: z.ZodType, source: Source): string[] {
  if (issue.code === "unrecognized_keys") {
    const known = keysOf(schema, issue.path);
    return issue.keys.map((key) => unknownKey([...issue.path, key], known, source));
  }
  const name = issue.path.join(".") || "the config";
  const received = issue.input === undefined ? "nothing" : JSON.stringify(issue.input);
  const where = position(source, issue.path);
  return [`Expected ${expectation(issue)} for ${name}, received ${received}${where}.`];
}

function unknownKey(path: Path, known: readonly string[], source: Source): string {
  const name = path.map(String);
  const section = name.slice(0, -1);
  const key = name.at(-1) ?? "";
  const near = nearest(key, known);
  const hint = near
    ? `Did you mean "${[...section, near].join(".")}"?`
    : `Known keys${section.length ? ` in ${section.join(".")}` : ""}: ${known.join(", ")}.`;
  return `Unknown config key "${name.join(".")}"${position(source, path)}. ${hint}`;
}

/** " (file:line:column)" of a key, or of the nearest section above it; "" where an override set it. */
function position({ path, document, lines }: Source, keys: Path): string {
  let node: unknown = document.contents;
  let start = isNode(node) ? node.range?.[0] : 0;
  for (const key of keys) {
    const pair: Pair | undefined = isMap(node)
      ? node.items.find((item) => String(item.key) === String(key))
      : undefined;
    if (!pair) break;
    node = pair.value;
    start = isNode(node) && !node.range ? undefined : (pair.key as Node).range?.[0];
  }
  if (start === undefined) return "";
  const { line, col } = lines.linePos(start);
  return ` (${path}:${line}:${col})`;
}

const typeWords: Record<string, string> = {
  int: "a whole number",
  number: "a number",
  string: "a text",
  boolean: "true or false",
  object: "a section",
  array: "a list",
  tuple: "a list",
};

/** What would have been right, in words; zod's own message is the fallback. */
function expectation(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_type":
      return typeWords[issue.expected] ?? issue.expected;
    case "invalid_value":
      return issue.values.map(String).join(" or ");
    case "too_small":
      return amount(issue.inclusive ? "at least" : "more than", issue.minimum, issue.origin);
    case "too_big":
      return amount(issue.inclusive ? "at most" : "less than", issue.maximum, issue.origin);
    default:
      return issue.message;
  }
}

function amount(bound: string, limit: number | bigint, origin: string): string {
  const unit = { string: " characters", array: " items" }[origin] ?? "";
  return `${unit ? "" : "a number of "}${bound} ${limit}${unit}`;
}

function keysOf(schema: z.ZodType, path: Path): readonly string[] {
  let inner: unknown = schema;
  for (const key of path) inner = objectOf(inner)?.shape[String(key)];
  return Object.keys(objectOf(inner)?.shape ?? {});
}

/** The object schema under defaults and optionals. */
function objectOf(schema: unknown): z.ZodObject | undefined {
  if (schema instanceof z.ZodObject) return schema;
  if (schema instanceof z.ZodOptional || schema instanceof z.ZodPrefault) {
    return objectOf(schema.unwrap());
  }
  return undefined;
}
