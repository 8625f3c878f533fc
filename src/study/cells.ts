// A study at a scale -> its cells: every combination of the varied values, with the recipes that belong to it, whole.
// Which runs they need, and which they share, is plan.ts.
import { ConfigError } from "../config-error.js";
import { parseTrainConfig, type TrainConfig, trainSchema } from "../train/config.js";
import { checkConfig } from "../train/config-file.js";

import {
  type CellGroup,
  type Manifest,
  type ScaleName,
  type Study,
  scoringSections,
  type Values,
} from "./manifest.js";

type Section = Readonly<Record<string, unknown>>;

/** How a cell is scored: the options of `vitok evaluate`, and what this way is called beside the cell's own values. */
export interface Scoring {
  readonly values: Values;
  readonly options: {
    readonly data: string;
    readonly metrics: readonly string[];
    readonly [name: string]: unknown;
  };
}

/** A training of a cell, without what earlier stages' folders fill in: train.from, generator.tokenizer. */
export interface Stage {
  /** As a file would say it. */
  readonly recipe: Section;
  /** The same with every default. */
  readonly config: TrainConfig;
  /** What it scores while it trains is looked at, too. */
  readonly isWatched?: boolean;
}

export interface Cell {
  /** Unique in the study at this scale: `p16-c4`. */
  readonly id: string;
  readonly values: Values;
  readonly seed: number;
  readonly stage1: Stage;
  readonly stage2?: Stage | undefined;
  readonly dit?: Stage | undefined;
  /** Stage 1 as it is checked, for sizes and costs. */
  readonly config: TrainConfig;
  readonly evaluate: readonly Scoring[];
  readonly sample: readonly Scoring[];
}

export interface ExpandOptions {
  readonly scale: ScaleName;
  /** `data.path=DIR` for the recipes; `stage2.`, `dit.`, `evaluate.` and `sample.` name the other sections. */
  readonly sets?: readonly (readonly [key: string, value: unknown])[];
  /** Runs of each cell; by default as the scale says. */
  readonly seeds?: number | undefined;
}

/** @throws ConfigError for a value that no cell has, for two cells of one name, and for a recipe that is wrong */
export function expandStudy(study: Study, { scale, sets = [], seeds }: ExpandOptions): Cell[] {
  const level = study.scales[scale];
  if (!level)
    throw new ConfigError(
      `Expected ${Object.keys(study.scales).join(" or ")} for --scale of ${study.name}, received ${scale}.`,
    );
  const groups = level.cells ?? study.cells ?? [];
  const overrides = sectionsOf(sets);
  const repeats = seeds ?? level.seeds ?? 1;
  const cells = groups.flatMap((group) =>
    combinations(group).flatMap((values) =>
      Array.from({ length: repeats }, (_, seed) =>
        makeCell({ study, level, group, overrides }, values, { seed, isRepeated: repeats > 1 }),
      ),
    ),
  );
  const twice = cells.find(({ id }, i) => cells.findIndex((other) => other.id === id) !== i);
  if (twice)
    throw new ConfigError(
      `Expected cells of different values in ${study.name}, received ${twice.id} twice.`,
    );
  return cells;
}

/** Every combination of a group's values but those left out. */
function combinations({ values = {}, each = {}, without = [] }: CellGroup): Values[] {
  const all = Object.entries(each).reduce<Values[]>(
    (found, [name, list]) =>
      found.flatMap((some) => list.map((value) => ({ ...some, [name]: value }))),
    [values],
  );
  return all.filter((cell) => !without.some((wrong) => matches(cell, wrong)));
}

/** Whether all of `wanted` is so in `values`. */
export function matches(values: Values, wanted: Values): boolean {
  return Object.entries(wanted).every(([name, value]) => values[name] === value);
}

interface Sections {
  readonly recipe?: Section | undefined;
  readonly stage2?: Section | undefined;
  readonly dit?: Section | undefined;
  readonly evaluate?: Section | undefined;
  readonly sample?: Section | undefined;
}

/** Overrides by section; keys that name none belong to stage 1's recipe. */
function sectionsOf(sets: NonNullable<ExpandOptions["sets"]>): Sections {
  const found: Record<string, Record<string, unknown>> = {};
  for (const [key, value] of sets) {
    const words = key.split(".");
    const isNamed = ["recipe", "stage2", "dit", "evaluate", "sample"].includes(words[0]!);
    const [section, ...path] = isNamed ? words : ["recipe", ...words];
    if (path.length === 0 || path.includes(""))
      throw new ConfigError(
        `Expected key=value for --set, received "${key}". Write train.steps=100.`,
      );
    const nested = path.reduceRight<unknown>((inner, word) => ({ [word]: inner }), value);
    found[section!] = merge(found[section!], nested as Section);
  }
  return found;
}

function makeCell(
  parts: {
    study: Study;
    level: Manifest["scales"]["paper"];
    group: CellGroup;
    overrides: Sections;
  },
  values: Values,
  { seed, isRepeated }: { seed: number; isRepeated: boolean },
): Cell {
  const { study, level, group, overrides } = parts;
  const id = nameOf(values) + (isRepeated ? `-seed${seed}` : "");
  const layers = [study, level, group, overrides];
  const section = (name: keyof Sections) =>
    fill(
      layers.reduce<Section>((all, layer) => merge(all, layer[name] ?? {}), {}),
      values,
      id,
    ) as Section;
  const has = (name: "stage2" | "dit" | "sample" | "evaluate") =>
    study[name] !== undefined || group[name] !== undefined;
  const recipe: Section = { seed, ...section("recipe") };
  const where = `cell ${id} of ${study.name}`;
  const stage1 = { recipe, config: checkRecipe(recipe, where) };
  const { data, model, losses } = recipe;
  const second = () =>
    stageOf(merge({ seed, data, model, losses, train: { stage: 2 } }, section("stage2")), {
      given: { train: { from: "stage 1" } },
      name: `stage 2 of ${where}`,
    });
  const generator = () =>
    stageOf(merge({ seed, data, train: { stage: "generator" } }, section("dit")), {
      given: { generator: { tokenizer: "stage 1" } },
      name: `generator of ${where}`,
    });
  const ways = (name: "evaluate" | "sample") =>
    has(name)
      ? waysOf(checkScoring(name, section(name), where), stage1.config.data.path, where)
      : [];
  const dit = has("dit") ? generator() : undefined;
  return {
    ...{ id, values, seed, stage1, config: stage1.config, dit },
    stage2: has("stage2") ? { ...second(), isWatched: study.history } : undefined,
    ...{ evaluate: ways("evaluate"), sample: dit ? ways("sample") : [] },
  };
}

/** `given`: what only the folders of other steps can say, so that the recipe can be checked whole. */
function stageOf(recipe: Section, { given, name }: { given: Section; name: string }): Stage {
  return { recipe, config: checkRecipe(merge(recipe, given), name) };
}

/** A cell's recipe as a whole one. @throws ConfigError that names the cell and the nearest key */
function checkRecipe(recipe: Section, name: string): TrainConfig {
  return checkConfig(recipe, {
    ...{ name, schema: trainSchema },
    complete: () => parseTrainConfig(recipe as Parameters<typeof parseTrainConfig>[0]),
  });
}

/** A cell's way of being scored. @throws ConfigError that names the nearest key */
function checkScoring(name: "evaluate" | "sample", section: Section, where: string): Section {
  return checkConfig(section, {
    ...{ name: `${name} of ${where}`, schema: scoringSections[name] },
    complete: () => section,
  });
}

/** Each entry of `at`, over the rest of the section; without any, the section itself. */
function waysOf({ at, ...base }: Section, trainingData: string, where: string): Scoring[] {
  const ways = (at as readonly Section[] | undefined) ?? [{}];
  return ways.map((way) => {
    const { set, ...changed } = way;
    const options = { data: trainingData, ...base, ...changed };
    if (!("metrics" in options))
      throw new ConfigError(`Expected metrics for what is scored of ${where}, received none.`);
    const told = set === undefined ? Object.entries(changed) : [["set", set]];
    return {
      values: Object.fromEntries(told.filter(([, value]) => typeof value !== "object")) as Values,
      options: options as Scoring["options"],
    };
  });
}

/** Sections merged, lists and values replaced. */
export function merge(base: Section | undefined, over: Section): Record<string, unknown> {
  const result: Record<string, unknown> = { ...base };
  for (const [key, value] of Object.entries(over))
    result[key] =
      isSection(value) && isSection(result[key]) ? merge(result[key], value) : (value ?? undefined);
  return result;
}

const isSection = (value: unknown): value is Section =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Values in the place of `{p}`; a text that is nothing else becomes the value itself. */
function fill(content: unknown, values: Values, cell: string): unknown {
  if (Array.isArray(content)) return content.map((item) => fill(item, values, cell));
  if (isSection(content))
    return Object.fromEntries(
      Object.entries(content).map(([key, item]) => [key, fill(item, values, cell)]),
    );
  if (typeof content !== "string") return content;
  const filled = (name: string) => {
    const value = values[name];
    if (value !== undefined) return value;
    throw new ConfigError(
      `Expected a value ${name} of cell ${cell} for "${content}", received ${Object.keys(values).join(", ") || "none"}.`,
    );
  };
  const whole = /^\{(\w+)\}$/.exec(content);
  if (whole) return filled(whole[1]!);
  return content.replaceAll(/\{(\w+)\}/g, (_, name: string) => String(filled(name)));
}

/** `{ p: 16, loss: "L2+LP" }` -> `p16-L2+LP`. */
export function nameOf(values: Values): string {
  const words = Object.entries(values).map(([name, value]) =>
    typeof value === "number" ? `${name}${value}` : value,
  );
  return words.join("-").replaceAll(/[^\w.+-]+/g, "_") || "all";
}
