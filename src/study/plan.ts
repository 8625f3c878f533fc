// Cells -> steps: the trainings, encodings and scorings to be made, each known by what it is made from, so that what two cells or
// two studies have in common is made once. A step is one `vitok` command; running them is runner.ts.
import { createHash } from "node:crypto";
import type { TrainConfig } from "../train/config.js";
import { type Cell, merge, type Scoring, type Stage } from "./cells.js";

type Content = Readonly<Record<string, unknown>>;

interface StepBase {
  /** Hash of everything that decides the outcome; steps of the same key are the same. */
  readonly key: string;
  /** Keys of the steps whose folders it reads. */
  readonly needs: readonly string[];
  /** What a table calls it: `fig3 p16-c4 stage 1`. */
  readonly title: string;
}
export interface TrainStep extends StepBase {
  readonly kind: "train";
  readonly stage: Stage;
  /** Steps whose runs the recipe starts from, and whose latents it learns. */
  readonly from?: string | undefined;
  readonly tokenizer?: string | undefined;
  readonly latents?: string | undefined;
  readonly cell: Cell;
}
export interface EncodeStep extends StepBase {
  readonly kind: "encode";
  readonly model: string;
  readonly data: TrainConfig["data"];
  readonly cell: Cell;
}
export interface EvaluateStep extends StepBase {
  readonly kind: "evaluate";
  readonly model: string;
  readonly scoring: Scoring;
  readonly isGenerator: boolean;
  /** Frames of clips, and their rate. */
  readonly data: TrainConfig["data"];
  readonly cell: Cell;
}
export type Step = TrainStep | EncodeStep | EvaluateStep;

/** A cell with the steps that its points come from. */
export interface PlannedCell {
  readonly study: string;
  readonly cell: Cell;
  /** In an order that can be followed. */
  readonly steps: readonly Step[];
}

/** What does not change a run's outcome, or is watched only. */
const watchedOnly = [
  "logEvery",
  "evalEvery",
  "saveEvery",
  "gridEvery",
  "keepCheckpoints",
  "tensorboard",
];
const loadingOnly = ["concurrency", "prefetch", "cacheMiB", "workers"];

export function planCell(study: string, cell: Cell): PlannedCell {
  const title = `${study} ${cell.id}`;
  const { data } = cell.config;
  const first = trainStep(cell, cell.stage1, { title: `${title} stage 1` });
  const steps: Step[] = [first];
  let model = first.key;
  if (cell.stage2) {
    const second = trainStep(cell, cell.stage2, { title: `${title} stage 2`, from: model });
    steps.push(second);
    model = second.key;
  }
  for (const scoring of cell.evaluate)
    steps.push(evaluateStep(cell, model, { scoring, title, data }));
  if (cell.dit) {
    const latents = encodeStep(cell, model, `${title} latents`);
    const dit = trainStep(cell, cell.dit, {
      ...{ title: `${title} generator`, tokenizer: model, latents: latents.key },
    });
    steps.push(latents, dit);
    for (const scoring of cell.sample)
      steps.push(evaluateStep(cell, dit.key, { scoring, title, data, isGenerator: true }));
  }
  return { study, cell, steps };
}

function trainStep(
  cell: Cell,
  stage: Stage,
  { title, ...inputs }: { title: string; from?: string; tokenizer?: string; latents?: string },
): TrainStep {
  const { device: _, out: __, evaluate, losses, train, data, ...rest } = stage.config;
  const key = keyOf("train", {
    ...rest,
    ...(stage.isWatched ? { evaluate, evalEvery: train.evalEvery } : {}),
    // A network that is not asked decides nothing.
    losses: losses.lpips > 0 ? losses : omit(losses, ["lpipsTrunk"]),
    ...{ train: omit(train, watchedOnly), data: omit(data, loadingOnly), ...inputs },
  });
  const needs = Object.values(inputs).filter((input) => input !== undefined);
  return { kind: "train", key, needs, title, stage, cell, ...inputs };
}

function encodeStep(cell: Cell, model: string, title: string): EncodeStep {
  const { data } = cell.config;
  const { path, size, frames, fps, flip } = data;
  const key = keyOf("encode", { model, path, size, frames, fps, flip });
  return { kind: "encode", key, needs: [model], title, model, data, cell };
}

function evaluateStep(
  cell: Cell,
  model: string,
  about: { scoring: Scoring; title: string; data: TrainConfig["data"]; isGenerator?: boolean },
): EvaluateStep {
  const { scoring, data, isGenerator = false } = about;
  const way = Object.entries(scoring.values).map(([name, value]) => ` ${name} ${value}`);
  const key = keyOf("evaluate", { model, ...omit(scoring.options, ["batchSize"]) });
  const title = `${about.title} ${isGenerator ? "samples" : "scores"}${way.join("")}`;
  return { kind: "evaluate", key, needs: [model], title, model, scoring, isGenerator, data, cell };
}

function omit(content: Content, names: readonly string[]): Content {
  return Object.fromEntries(Object.entries(content).filter(([name]) => !names.includes(name)));
}

function keyOf(kind: Step["kind"], content: Content): string {
  const hash = createHash("sha256").update(canonical(content)).digest("hex").slice(0, 12);
  return `${kind}-${hash}`;
}

/** JSON whose keys are in order, without those that are undefined. */
function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(",")}]`;
  if (typeof value !== "object" || value === null) return JSON.stringify(value) ?? "null";
  const entries = Object.entries(value).filter(([, item]) => item !== undefined);
  const sorted = entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${sorted.map(([key, item]) => `${JSON.stringify(key)}:${canonical(item)}`).join(",")}}`;
}

/** Every step of several cells once, in an order that can be followed: the cells' own, so that the first are done first. */
export function stepsOf(cells: readonly PlannedCell[]): Step[] {
  const steps = new Map<string, Step>();
  for (const cell of cells)
    for (const step of cell.steps) if (!steps.has(step.key)) steps.set(step.key, step);
  return [...steps.values()];
}

/** The recipe that a training is started with, once the folders of what it needs are known. */
export function recipeOf(step: TrainStep, folderOf: (key: string) => string): Content {
  const { stage, from, tokenizer, latents } = step;
  const { recipe } = stage;
  // Scores are a step of their own; what a training looks at when it ends is a few pictures.
  const brief = tokenizer ? {} : { count: 8, metrics: ["psnr"] };
  const quiet = { evalEvery: 0, gridEvery: 0, ...(recipe.train as Content | undefined) };
  return merge(
    {
      ...recipe,
      train: quiet,
      evaluate: { ...brief, ...(recipe.evaluate as Content | undefined) },
    },
    {
      ...(from ? { train: { from: folderOf(from) } } : {}),
      ...(tokenizer ? { generator: { tokenizer: folderOf(tokenizer) } } : {}),
      ...(latents ? { data: { path: folderOf(latents) } } : {}),
    },
  );
}
