// The page about a model: scores with their protocol, curves, pictures before and after. One HTML file
// with everything inside, to be mailed to a colleague. It takes bytes and numbers, never tensors.

import { join } from "node:path";
import { writeFileAtomic } from "../atomic-file.js";
import type { Clip } from "../media/clip.js";
import { tile } from "../media/image.js";
import { type Chart, drawChart } from "./charts.js";
import { htmlPage } from "./html-page.js";
import { differenceOf, embed, embedMoving } from "./report-pictures.js";

export interface Score {
  readonly name: string;
  readonly value: number;
  /** "dB"; absent for a bare number. */
  readonly unit?: string;
  /** Half-width of the 95 % confidence interval of the mean. */
  readonly interval?: number;
  /** Standard deviation of the parts that the score is a mean of. */
  readonly deviation?: number;
  readonly better: "higher" | "lower";
  /** What the recipe promises, shown beside the measured value. */
  readonly expected?: string;
}

/** One file, as it went in and as it came out; both of one size. */
export interface GalleryItem {
  readonly file: string;
  readonly original: Clip;
  readonly recon: Clip;
  readonly psnr: number;
  /** Frames a second of clips; 8 where it is not told. */
  readonly fps?: number;
  /** Why it is shown; absent for a plain sample. Those chosen `even`ly are for other pages than this one. */
  readonly group?: "worst" | "best" | "class" | "even";
  /** "worst of 500", or the name of the class. */
  readonly note?: string;
}

/** Means over the files of one class. */
export interface ClassRow {
  readonly name: string;
  readonly count: number;
  readonly scores: Readonly<Record<string, number>>;
}

/** One file's own scores, the one that files are ordered by first. */
export interface FileRow {
  readonly file: string;
  readonly scores: Readonly<Record<string, number>>;
}

export type Sides = readonly [original: string, recon: string];

export interface ReportData {
  /** The model's variant, or a run's name. */
  readonly title: string;
  /** What kind of page it is, above the title; by default a reconstruction report. */
  readonly kicker?: string;
  /** One sentence below it: what was trained on what, for how long. */
  readonly summary?: string;
  readonly scores: readonly Score[];
  /** Everything a reader needs to compare the scores with another's: set, n, crop, rounding, weights. */
  readonly protocol: Readonly<Record<string, string | number | boolean | null>>;
  readonly charts?: readonly Chart[];
  readonly gallery: readonly GalleryItem[];
  /** What the two pictures of an item are called; by default original and reconstruction. */
  readonly sides?: Sides;
  /** Worst first. */
  readonly classes?: readonly ClassRow[];
  /** What a mean score hides, by name: "0.12 of 255". */
  readonly artefacts?: Readonly<Record<string, string>>;
  /** What a reader of the scores has to know. */
  readonly warnings?: readonly string[];
  /** Worst first; the page shows both ends, and says what they are ordered by. */
  readonly files?: readonly FileRow[];
  /** The command that makes this page again. */
  readonly command?: string;
  /** The recipe, as YAML or JSON text. */
  readonly config?: string;
  /** Model, engine, device, seed and the like. */
  readonly facts?: Readonly<Record<string, string | number>>;
  readonly unreadable?: readonly { readonly file: string; readonly reason: string }[];
}

/** The difference is magnified by this much around mid-grey, and the page says so. */
const gain = 4;
const endsShown = 5;

/** Writes the page: to a path that ends in .html, or as `index.html` into a folder, which is made. Returns its path. Whole or not at all. */
export async function writeReport(target: string, data: ReportData): Promise<string> {
  const path = /\.html?$/i.test(target) ? target : join(target, "index.html");
  writeFileAtomic(path, await renderReport(data));
  return path;
}

/** The page as text. */
export async function renderReport(data: ReportData): Promise<string> {
  const { gallery, sides = ["original", "reconstruction"] } = data;
  const rowsOf = (group: GalleryItem["group"] | undefined) =>
    galleryRows(
      gallery.filter((item) => item.group === group),
      sides,
    );
  const groups = [undefined, "worst", "best", "class"] as const;
  const [samples, worst, best, ofClasses] = await Promise.all(groups.map(rowsOf));
  const note = galleryNote(gallery, sides);
  const [order = "PSNR"] = Object.keys(data.files?.[0]?.scores ?? {});
  const sections = [
    heading(data),
    scores(data.scores),
    warnings(data.warnings ?? []),
    section("Pictures", note, samples!),
    section("Worst", note, worst!),
    section("Best", note, best!),
    section("Training", "", charts(data.charts ?? [])),
    section("Artefacts", "What a mean score hides.", facts(data.artefacts ?? {})),
    section(
      "Classes",
      `Means over the files of each, worst first.${ofClasses ? " Pictures: the one in the middle of its class." : ""}`,
      classes(data.classes ?? []) + ofClasses,
    ),
    section("Files", `By ${order}, the two ends of the set.`, ends(data.files ?? [])),
    section("Protocol", "What the scores were measured on, and how.", facts(data.protocol)),
    section("Reproduce", "", reproduce(data)),
    section("Unreadable files", "Left out of every score.", unreadable(data.unreadable ?? [])),
  ];
  return htmlPage(html(data.title), sections);
}

function heading({ title, summary, kicker = "ViTok reconstruction report" }: ReportData): string {
  const sentence = summary ? `\n<p class="summary">${html(summary)}</p>` : "";
  return `<header>\n<p class="kicker">${html(kicker)}</p>\n<h1>${html(title)}</h1>${sentence}\n</header>`;
}

/** A section, or nothing where it has no content. */
function section(title: string, note: string, content: string): string {
  if (content === "") return "";
  const remark = note ? `<p class="note">${html(note)}</p>\n` : "";
  return `<section>\n<h2>${title}</h2>\n${remark}${content}\n</section>`;
}

function scores(list: readonly Score[]): string {
  const cards = list.map(({ name, value, unit, interval, deviation, better, expected }) => {
    const arrow = better === "higher" ? "↑" : "↓";
    const half = interval === undefined ? "" : `± ${significant(interval, 2)}`;
    const spread = deviation === undefined ? half : `deviation ${significant(deviation, 2)}`;
    const promise = expected ? `expected ${expected}` : "";
    const detail = [spread, promise].filter(Boolean).join(" · ") || `${better} is better`;
    return `<div><dt>${html(name)} <span title="${better} is better">${arrow}</span></dt>
<dd>${significant(value, 4)}<small>${html(unit ?? "")}</small></dd>
<dd class="detail">${html(detail)}</dd></div>`;
  });
  return cards.length ? `<dl class="scores">\n${cards.join("\n")}\n</dl>` : "";
}

function warnings(list: readonly string[]): string {
  return list.map((text) => `<p class="warning">${html(text)}</p>`).join("\n");
}

async function galleryRows(items: readonly GalleryItem[], sides: Sides): Promise<string> {
  return (await Promise.all(items.map((item) => galleryRow(item, sides)))).join("\n");
}

function galleryNote(gallery: readonly GalleryItem[], [original, recon]: Sides): string {
  const frames = gallery.some(({ original }) => original.frames > 1)
    ? ` Clips play: ${original}, ${recon} and difference in step.`
    : "";
  return `Difference: ${recon} minus ${original}, magnified ${gain} times around grey.${frames}`;
}

async function galleryRow(item: GalleryItem, sides: Sides): Promise<string> {
  const { file, psnr, note } = item;
  const tag = note ? `<em>${html(note)}</em>` : "";
  return `<article>
<p class="file"><span>${html(file)}</span>${tag}<b>${decibel(psnr)}</b></p>
${item.original.frames > 1 ? await movingTriple(item, sides) : await stillTriple(item, sides)}
</article>`;
}

/** One animation of all three, so that they keep step. */
async function movingTriple(
  { file, original, recon, fps = 8 }: GalleryItem,
  sides: Sides,
): Promise<string> {
  const gap = 4;
  const sheet = tile([original, recon, differenceOf(original, recon, gain)], 3, { gap });
  const source = await embedMoving(sheet, fps);
  const captions = [...sides, "difference"].map((name) => `<figcaption>${html(name)}</figcaption>`);
  const space = `column-gap:${((100 * gap) / sheet.width).toFixed(3)}%`; // as between the pictures
  return `<div class="moving"><div style="${space}">${captions.join("")}</div><img src="${source}" width="${sheet.width}" height="${sheet.height}" alt="${html(sides.join(", "))} and difference of ${html(file)}"></div>`;
}

async function stillTriple({ file, original, recon }: GalleryItem, sides: Sides): Promise<string> {
  const names = [...sides, "difference"].map(html);
  const figures = await Promise.all(
    [original, recon, differenceOf(original, recon, gain)].map(async (clip, i) => {
      const image = `<img src="${await embed(clip)}" width="${clip.width}" height="${clip.height}" alt="${names[i]} of ${html(file)}">`;
      return `<figure><figcaption>${names[i]}</figcaption>${image}</figure>`;
    }),
  );
  return `<div class="triple">${figures.join("")}</div>`;
}

function charts(list: readonly Chart[]): string {
  const figures = list.flatMap((chart) => {
    const svg = drawChart(chart);
    return svg ? [`<figure><figcaption>${html(chart.title)}</figcaption>${svg}</figure>`] : [];
  });
  return figures.length ? `<div class="charts">${figures.join("\n")}</div>` : "";
}

function classes(list: readonly ClassRow[]): string {
  const names = Object.keys(list[0]?.scores ?? {});
  if (!names.length) return "";
  const cells = ({ name, count, scores }: ClassRow) =>
    [count, ...names.map((metric) => significant(scores[metric]!, 4))]
      .map((value) => `<td>${value}</td>`)
      .reduce((row, cell) => row + cell, `<th>${html(name)}</th>`);
  const head = ["files", ...names].map((name) => `<td>${html(name)}</td>`).join("");
  const rows = list.map((row) => `<tr>${cells(row)}</tr>`);
  return `<table class="numbers"><tr><th></th>${head}</tr>${rows.join("")}</table>`;
}

function ends(files: readonly FileRow[]): string {
  const names = Object.keys(files[0]?.scores ?? {});
  if (names.length === 0) return "";
  const row = ({ file, scores }: FileRow) =>
    `<tr><th>${html(file)}</th>${names.map((name) => `<td>${significant(scores[name]!, 4)}</td>`).join("")}</tr>`;
  const head = names.map((name) => `<td>${html(name)}</td>`).join("");
  const shown = Math.min(endsShown, Math.ceil(files.length / 2));
  const worst = files.slice(0, shown);
  const best = files.slice(shown).slice(-endsShown).reverse();
  const table = (name: string, part: readonly FileRow[]) =>
    part.length
      ? `<table class="numbers"><tr><th>${name}</th>${head}</tr>${part.map(row).join("")}</table>`
      : "";
  return `<div class="columns">${table("Worst", worst)}${table("Best", best)}</div>`;
}

function facts(entries: Readonly<Record<string, string | number | boolean | null>>): string {
  const rows = Object.entries(entries).map(
    ([name, value]) => `<tr><th>${html(name)}</th><td>${html(String(value ?? "none"))}</td></tr>`,
  );
  return rows.length ? `<table class="facts">${rows.join("")}</table>` : "";
}

function reproduce({ command, config, facts: about = {} }: ReportData): string {
  const parts = [
    command ? `<pre><code>${html(command)}</code></pre>` : "",
    facts(about),
    config
      ? `<details><summary>Recipe</summary><pre><code>${html(config)}</code></pre></details>`
      : "",
  ];
  return parts.filter(Boolean).join("\n");
}

function unreadable(files: readonly { file: string; reason: string }[]): string {
  const rows = files.map(
    ({ file, reason }) => `<tr><th>${html(file)}</th><td>${html(reason)}</td></tr>`,
  );
  return rows.length ? `<table class="facts">${rows.join("")}</table>` : "";
}

function decibel(value: number): string {
  return `${value.toFixed(2)} dB`;
}

/** Never in exponents for what scores are: 25.31, 0.8123, 0.00213. */
function significant(value: number, digits: number): string {
  if (!Number.isFinite(value)) return "–";
  const decimals = Math.max(0, digits - 1 - Math.floor(Math.log10(Math.abs(value) || 1)));
  return value.toFixed(Math.min(decimals, 6));
}

export function html(text: string): string {
  const entities: Record<string, string> = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
  };
  return text.replace(/[&<>"]/g, (letter) => entities[letter]!);
}
