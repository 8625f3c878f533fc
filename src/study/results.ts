// What a study found, as one JSON file of a stable form: cells with their states and sizes, points with their scores, and, by
// analysis.ts, fits and verdicts. Everything that shows a study (page, figures, table, studio) reads this and nothing else.
import { existsSync, readdirSync } from "node:fs";
import { join, relative } from "node:path";
import { generatorCost, parseDitName } from "../generator/config.js";
import { variantName } from "../tokenizer/config.js";
import { costOf } from "../tokenizer/cost.js";
import { readRun } from "../train/log.js";
import { inputSize } from "../train/pace.js";
import type { ScaleName, Study, Values } from "./manifest.js";
import type { PlannedCell, TrainStep } from "./plan.js";
import type { Store } from "./store.js";

/** Raised when a reader of the file would have to know. */
export const resultsForm = 1;

export type CellState = "done" | "failed" | "missing";

export interface CellResult {
  readonly id: string;
  readonly values: Values;
  readonly seed: number;
  readonly state: CellState;
  /** Why it failed. */
  readonly reason?: string;
  readonly variant: string;
  readonly tokens: number;
  /** E: numbers in the code. */
  readonly latentSize: number;
  readonly compressionRatio: number;
  /** Parameters and multiply-adds of the tokenizer. */
  readonly params: { readonly encoder: number; readonly decoder: number };
  readonly macs: number;
  /** Of the steps that are done; those shared with other cells are counted in each. */
  readonly elapsedMs: number;
  readonly steps: readonly {
    readonly key: string;
    readonly title: string;
    readonly state: CellState;
  }[];
}

/** Of a tokenizer and its towers; of a point of a generator, `total` is the generator's. */
export interface PointParameters {
  readonly encoder?: number;
  readonly decoder?: number;
  readonly total: number;
}

/** One scoring of one cell; of the paper, one point of a figure. */
export interface Point {
  /** Ours: the cell it is of. */
  readonly cell?: string;
  readonly kind: "reconstruction" | "generation";
  /** The cell's, and those that this scoring changed. */
  readonly values: Values;
  readonly seed?: number;
  readonly latentSize?: number;
  readonly params?: PointParameters;
  readonly metrics: Readonly<Record<string, number>>;
  readonly protocol?: unknown;
  /** Pictures before and after, relative to the store. */
  readonly pictures?: readonly { readonly original?: string; readonly recon: string }[];
}

export interface Measured {
  readonly cells: readonly CellResult[];
  readonly points: readonly Point[];
}

/** Everything that is known of a study's cells now. */
export function measure(cells: readonly PlannedCell[], store: Store): Measured {
  return {
    cells: cells.map((planned) => cellResult(planned, store)),
    points: cells.flatMap((planned) => pointsOf(planned, store)),
  };
}

function cellResult({ cell, steps }: PlannedCell, store: Store): CellResult {
  const { config } = cell;
  const { tokens, latentSize, compressionRatio, params, macs } = costOf(
    config.model,
    inputSize(config),
  );
  const told = steps.map(({ key, title }) => ({ key, title, state: stateOf(store, key) }));
  const failed = told.find(({ state }) => state === "failed");
  const isDone = told.every(({ state }) => state === "done");
  const elapsedMs = steps.reduce((sum, { key }) => sum + (store.done(key)?.elapsedMs ?? 0), 0);
  return {
    ...{ id: cell.id, values: cell.values, seed: cell.seed },
    state: isDone ? "done" : failed ? "failed" : "missing",
    ...(failed ? { reason: `${failed.title}: ${store.failure(failed.key)?.reason}` } : {}),
    ...{ variant: variantName(config.model), tokens, latentSize, compressionRatio },
    params: { encoder: params.encoder, decoder: params.decoder },
    ...{ macs: macs.total, elapsedMs, steps: told },
  };
}

function stateOf(store: Store, key: string): CellState {
  if (store.done(key)) return "done";
  return store.failure(key) ? "failed" : "missing";
}

function pointsOf({ cell, steps }: PlannedCell, store: Store): Point[] {
  return steps.flatMap((step): Point[] => {
    const record = store.done(step.key);
    if (!record) return [];
    if (step.kind === "train") return step.stage.isWatched ? historyOf(step, store) : [];
    if (step.kind === "encode") return [];
    const { metrics = {}, protocol } = record.result as Partial<Point>;
    const { keep } = step.scoring.options as { keep?: number };
    return [
      {
        ...aboutPoint(cell, { keep, isGenerator: step.isGenerator }),
        values: { ...cell.values, ...step.scoring.values },
        metrics: finite(metrics),
        protocol,
        pictures: picturesOf(step.key, step.isGenerator ? step.model : undefined, store),
      },
    ];
  });
}

/** What is told of a point besides its scores. */
function aboutPoint(
  { id, seed, config, dit }: PlannedCell["cell"],
  { keep, isGenerator }: { keep?: number | undefined; isGenerator: boolean },
) {
  const { latentSize, tokens, params } = costOf(config.model, inputSize(config));
  const length = config.model.latentTokens || tokens;
  const { encoder, decoder, total } = params;
  const variant = isGenerator ? dit?.config.generator?.variant : undefined;
  const tower = variant && { ...parseDitName(variant), channels: config.model.channels };
  return {
    ...{
      cell: id,
      seed,
      kind: isGenerator ? ("generation" as const) : ("reconstruction" as const),
    },
    latentSize: keep ? (keep * latentSize) / length : latentSize,
    params: {
      ...{ encoder, decoder },
      total: tower
        ? generatorCost({ ...tower, classes: 1000, prediction: "noise" }, length).params.total
        : total,
    },
  };
}

/** The scores of a training's log, each at its step. */
function historyOf({ cell, key }: TrainStep, store: Store): Point[] {
  const evals = readRun(store.output(key))?.evals ?? [];
  return evals.map(({ step, metrics, protocol }) => ({
    ...aboutPoint(cell, { isGenerator: false }),
    values: { ...cell.values, step },
    metrics: finite(metrics),
    protocol,
  }));
}

function finite(metrics: Readonly<Record<string, number | null>>): Record<string, number> {
  const entries = Object.entries(metrics).filter(([, value]) => Number.isFinite(value));
  return Object.fromEntries(entries) as Record<string, number>;
}

/** Of reconstructions what the scoring wrote; of a generator its run's last grid of samples. */
function picturesOf(
  key: string,
  generator: string | undefined,
  store: Store,
): { original?: string; recon: string }[] {
  const folder = join(store.output(generator ?? key), generator ? "grids" : "pictures");
  if (!existsSync(folder)) return [];
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".png"))
    .sort();
  const place = (name: string) => relative(store.root, join(folder, name));
  if (generator) return files.slice(-1).map((name) => ({ recon: place(name) }));
  return files
    .filter((name) => name.endsWith(".original.png"))
    .map((name) => ({
      original: place(name),
      recon: place(name.replace("original", "recon")),
    }));
}

/** Where a study's results, figures and page lie. */
export const studyFolder = (store: Store, study: Study, scale: ScaleName): string =>
  join(store.root, `${study.name}-${scale}`);
