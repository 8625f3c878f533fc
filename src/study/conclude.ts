// From what the store holds to everything a reader sees of a study: results.json, figures as SVG and PNG, and one HTML page.

import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import { inputSize } from "../train/pace.js";
import { version } from "../version.js";
import { type DrawnFigure, drawFigures } from "./figures.js";
import { type JudgedClaim, judge } from "./findings.js";
import type { ScaleName, Study } from "./manifest.js";
import { scoreOf } from "./metric-facts.js";
import { renderPage } from "./page.js";
import { type PaperPoints, paperPoints } from "./paper.js";
import type { PlannedCell } from "./plan.js";
import { type Measured, measure, type Point, resultsForm, studyFolder } from "./results.js";
import type { Store } from "./store.js";

export interface StudyResults extends Measured {
  /** Of this file: resultsForm. */
  readonly form: number;
  readonly study: string;
  readonly scale: ScaleName;
  readonly title: string;
  readonly question: string;
  readonly place: string;
  readonly version: string;
  readonly writtenAt: string;
  /** Pixels and frames that our cells were made and scored at. */
  readonly size: { readonly frames: number; readonly height: number; readonly width: number };
  readonly verdicts: readonly JudgedClaim[];
  /** The paper's own points, and what it does not print. */
  readonly paper: PaperPoints;
  /** What of ours is not there, in words. */
  readonly missing: readonly string[];
}

export interface Conclusion {
  readonly results: StudyResults;
  /** The study's table of our points. */
  readonly rows: readonly Readonly<Record<string, string>>[];
  readonly files: readonly string[];
}

export async function concludeStudy(
  { study, scale, cells }: { study: Study; scale: ScaleName; cells: readonly PlannedCell[] },
  { store }: { store: Store },
): Promise<Conclusion> {
  const measured = measure(cells, store);
  const size = inputSize(cells[0]!.cell.config);
  const paper: PaperPoints = study.paper.points
    ? paperPoints(study.paper.points)
    : { points: [], size, missing: [] };
  const results: StudyResults = {
    ...{ form: resultsForm, study: study.name, scale, title: study.title },
    ...{ question: study.question, place: study.paper.place, version },
    ...{ writtenAt: new Date().toISOString(), size, ...measured, paper },
    verdicts: study.findings.map((finding) => judge(finding, measured.points, paper.points)),
    missing: measured.cells
      .filter(({ state }) => state !== "done")
      .map(
        ({ id, state, reason }) =>
          `${id}: ${state === "failed" ? `failed, ${reason}` : "not made yet"}`,
      ),
  };
  const folder = studyFolder(store, study, scale);
  const figures = await drawFigures(study, results);
  const rows = tableRows(study.table, measured.points);
  const paperRows = tableRows(study.table, paper.points);
  const files = writeAll(folder, {
    results,
    figures,
    page: await renderPage({ results, figures, rows, paperRows, store }),
  });
  return { results, rows, files };
}

function writeAll(
  folder: string,
  {
    results,
    figures,
    page,
  }: { results: StudyResults; figures: readonly DrawnFigure[]; page: string },
): string[] {
  const contents: Record<string, string | Uint8Array> = {
    "results.json": `${JSON.stringify(results, null, 2)}\n`,
    ...Object.fromEntries(
      figures.flatMap(({ name, svg, png }) => [
        [`${name}.svg`, svg],
        [`${name}.png`, png],
      ]),
    ),
    "index.html": page,
  };
  return Object.entries(contents).map(([name, content]) => {
    writeFileAtomic(join(folder, name), content);
    return join(folder, name);
  });
}

/** A row for all points of the same values and seed: the cells' values, E and metrics, as the study's file orders them. */
export function tableRows(
  columns: readonly string[],
  points: readonly Point[],
): Record<string, string>[] {
  const rows = new Map<string, Record<string, string>>();
  for (const point of points) {
    const scores = columns.map((column) => scoreOf(point, column));
    if (!scores.some(Boolean)) continue;
    const key = JSON.stringify([point.values, point.seed]);
    const row = rows.get(key) ?? {};
    rows.set(key, row);
    for (const [i, column] of columns.entries()) {
      const score = scores[i];
      const value = column === "E" ? point.latentSize : point.values[column];
      if (score) row[score.name] = score.value.toPrecision(4);
      else if (value !== undefined) row[column] = String(value);
    }
  }
  return [...rows.values()];
}
