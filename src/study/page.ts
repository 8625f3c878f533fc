// One self-contained HTML page about a study: the question, verdicts, figures, pictures across E, the table, and what is missing.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { htmlPage } from "../evaluate/html-page.js";
import { html } from "../evaluate/report.js";
import type { StudyResults } from "./conclude.js";
import type { DrawnFigure } from "./figures.js";
import type { Point } from "./results.js";
import type { Store } from "./store.js";

export interface PageData {
  readonly results: StudyResults;
  readonly figures: readonly DrawnFigure[];
  readonly rows: readonly Readonly<Record<string, string>>[];
  readonly paperRows: PageData["rows"];
  readonly store: Store;
}

/** Pictures of each cell. */
const picturesShown = 6;
/** Columns of a strip. */
const stripLength = 9;

const extraStyles = `
main { max-width: 88rem; }
.figure { background: #fff; border: 1px solid var(--line); border-radius: .6rem; padding: .5rem; overflow-x: auto; }
.figure svg { display: block; max-width: 100%; height: auto; }
.figure svg svg { max-width: none; }
.figure + .note { margin: .5rem 0 2rem; }
.verdicts { list-style: none; padding: 0; display: grid; gap: .75rem; margin-top: 2rem; }
.verdicts li { background: var(--card); border: 1px solid var(--line); border-left: 4px solid var(--soft); border-radius: .4rem; padding: .8rem 1.1rem; }
.verdicts li.holds { border-left-color: var(--series-3); }
.verdicts li.not { border-left-color: var(--series-2); }
.verdicts b { text-transform: uppercase; font-size: .78rem; letter-spacing: .06em; margin-right: .6rem; }
.verdicts p { color: var(--soft); font-size: .9rem; margin-top: .2rem; }
.strip { overflow-x: auto; }
.strip table { width: auto; border-collapse: separate; border-spacing: 3px; }
.strip td, .strip th { border: 0; padding: 0; text-align: center; font-size: .76rem; color: var(--soft); white-space: nowrap; }
.strip th { white-space: normal; max-width: 7rem; vertical-align: bottom; }
.strip img { display: block; width: 7rem; image-rendering: pixelated; border-radius: .2rem; }
.samples { display: grid; grid-template-columns: repeat(auto-fill, minmax(16rem, 1fr)); gap: 1.5rem; }
.samples img { width: 100%; image-rendering: pixelated; border-radius: .3rem; }
.wide { overflow-x: auto; }
.numbers td:first-child, .numbers th:first-child { text-align: left; padding-left: 0; }
.wide .numbers { width: auto; min-width: 30rem; }
.numbers th { text-align: right; padding: .42rem 0 .42rem 1.25rem; color: var(--soft); }
`;

export async function renderPage(data: PageData): Promise<string> {
  const { results, figures } = data;
  const done = results.cells.filter(({ state }) => state === "done").length;
  const { height, frames } = results.size;
  const about = `${results.place}. ${done} of ${results.cells.length} cells, ${height} px${frames > 1 ? `, ${frames} frames` : ""}, scale ${results.scale}.`;
  const sections = [
    `<header><p class="kicker">ViTok study ${html(results.study)}</p><h1>${html(results.title)}</h1><p class="summary">${html(results.question)}</p><p class="note">${html(about)}</p></header>`,
    verdicts(results),
    section("Figures", figures.map(figure).join("\n")),
    section(
      "Pictures across E",
      strips(data),
      "The same pictures through every cell, from the smallest code to the largest; originals on the left.",
    ),
    section("Samples", samples(data), "Rows are classes; the noise is the same for all."),
    section("Numbers", numbers(data.rows)),
    section("The paper's numbers", numbers(data.paperRows)),
    section(
      "What is missing",
      list([
        ...results.missing,
        ...results.paper.missing.map((text) => `In the paper's numbers: ${text}`),
      ]),
    ),
    section("Cells", cells(results)),
  ];
  return htmlPage(html(results.title), sections, extraStyles);
}

function section(title: string, content: string, note = ""): string {
  if (!content) return "";
  return `<section><h2>${title}</h2>${note ? `<p class="note">${html(note)}</p>` : ""}${content}</section>`;
}

function verdicts({ verdicts }: StudyResults): string {
  const items = verdicts.map(({ verdict, claim, numbers, paper }) => {
    const kind = verdict === "holds" ? "holds" : verdict === "undecided" ? "open" : "not";
    const theirs = paper
      ? `<p>The paper's points: ${paper.verdict}; ${html(paper.numbers)}</p>`
      : "";
    return `<li class="${kind}"><b>${verdict}</b>${html(claim)}<p>Here: ${html(numbers)}</p>${theirs}</li>`;
  });
  return items.length ? `<ul class="verdicts">${items.join("")}</ul>` : "";
}

function figure({ title, svg, caption }: DrawnFigure): string {
  return `<div class="figure" aria-label="${html(title)}">${svg}</div><p class="note">${html(caption)}</p>`;
}

/** Columns are cells in the order of E, rows are pictures. */
function strips({ results, store }: PageData): string {
  const shown = results.points.filter(
    ({ kind, pictures }) => kind === "reconstruction" && pictures?.length,
  );
  const ordered = thin(
    shown.sort((a, b) => (a.latentSize ?? 0) - (b.latentSize ?? 0)),
    stripLength,
  );
  if (!ordered.length) return "";
  const first = ordered[0]!.pictures!.slice(0, picturesShown);
  const heads = ordered.map((point) => `<th>${html(nameOf(point))}<br>E ${point.latentSize}</th>`);
  const rows = first.map((picture, i) => {
    const recons = ordered.map((point) => `<td>${image(store, point.pictures![i]?.recon)}</td>`);
    return `<tr><td>${image(store, picture.original)}</td>${recons.join("")}</tr>`;
  });
  return `<div class="strip"><table><tr><th>original</th>${heads.join("")}</tr>${rows.join("")}</table></div>`;
}

/** At most `count` of a list, ends included. */
function thin<T>(items: readonly T[], count: number): T[] {
  if (items.length <= count) return [...items];
  return Array.from(
    { length: count },
    (_, i) => items[Math.round((i * (items.length - 1)) / (count - 1))]!,
  );
}

function samples({ results, store }: PageData): string {
  const seen = new Set<string>();
  const figures = results.points.flatMap((point) => {
    const [picture] = point.kind === "generation" ? (point.pictures ?? []) : [];
    if (!picture || seen.has(picture.recon)) return [];
    seen.add(picture.recon);
    return [
      `<figure><figcaption>${html(nameOf(point))}, E ${point.latentSize}</figcaption>${image(store, picture.recon)}</figure>`,
    ];
  });
  return figures.length ? `<div class="samples">${figures.join("")}</div>` : "";
}

const nameOf = ({ values }: Point) =>
  Object.entries(values)
    .map(([name, value]) => (typeof value === "number" ? `${name} ${value}` : value))
    .join(", ");

function image(store: Store, path: string | undefined): string {
  const file = path && join(store.root, path);
  if (!file || !existsSync(file)) return "";
  return `<img src="data:image/png;base64,${readFileSync(file).toString("base64")}" alt="">`;
}

function numbers(rows: PageData["rows"]): string {
  const names = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  if (!names.length) return "";
  const head = names.map((name) => `<th>${html(name)}</th>`).join("");
  const body = rows.map(
    (row) => `<tr>${names.map((name) => `<td>${html(row[name] ?? "")}</td>`).join("")}</tr>`,
  );
  return `<div class="wide"><table class="numbers"><tr>${head}</tr>${body.join("")}</table></div>`;
}

function cells({ cells }: StudyResults): string {
  const rows = cells.map(
    ({ id, variant, state, compressionRatio, elapsedMs }) =>
      `<tr><td>${html(id)}</td><td>${html(variant)}</td><td>${compressionRatio.toPrecision(3)}x</td><td>${state}</td><td>${(elapsedMs / 60_000).toFixed(1)} min</td></tr>`,
  );
  return `<div class="wide"><table class="numbers"><tr><th>cell</th><th>tokenizer</th><th>compression</th><th>state</th><th>time</th></tr>${rows.join("")}</table></div>`;
}

const list = (items: readonly string[]) =>
  items.length ? `<ul>${items.map((item) => `<li>${html(item)}</li>`).join("")}</ul>` : "";
