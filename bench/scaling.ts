// The lines of scripts/gpu/scaling.mjs as a table and a figure: `npx tsx bench/scaling.ts LINES [FIGURE.svg]`. The figure has the
// time of a token in a training step against the tokens of a sample, attention's part apart; the last printed line says
// where attention would take half of the step, by a line through its time a token.
import { readFileSync } from "node:fs";
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { writeFileAtomic } from "../src/atomic-file.js";

interface Line {
  readonly axis: string;
  readonly variant: string;
  readonly batch: number;
  readonly tokens: number;
  readonly checkpointing: boolean;
  readonly size: { readonly frames: number; readonly height: number; readonly width: number };
  readonly parameters: number;
  readonly gmacs: number;
  readonly ms: number;
  readonly samplesPerSecond: number;
  readonly mfu: number;
  readonly attentionShare: number;
  readonly peakMib: number;
  readonly error?: string;
}

const [path, figure] = process.argv.slice(2);
if (!path) throw new Error("Expected the file with the lines: npx tsx bench/scaling.ts LINES");
const all: Line[] = readFileSync(path, "utf8")
  .split("\n")
  .filter((text) => text.startsWith("{"))
  .map((text) => JSON.parse(text) as Line)
  .filter(({ axis }) => axis);
const lines = all.filter(({ error }) => error === undefined);

const columns: readonly (readonly [string, (line: Line) => string | number])[] = [
  ["varied", ({ axis }) => axis],
  ["model", ({ variant, checkpointing }) => `${variant}${checkpointing ? ", checkpointing" : ""}`],
  [
    "input",
    ({ size: { frames, height, width } }) =>
      `${frames > 1 ? `${frames} x ` : ""}${height} x ${width}`,
  ],
  ["batch", ({ batch }) => batch],
  ["tokens", ({ tokens }) => tokens],
  ["GMACs", ({ gmacs }) => gmacs],
  ["ms a step", ({ ms }) => ms],
  ["samples/s", ({ samplesPerSecond }) => samplesPerSecond],
  ["MFU", ({ mfu }) => percent(mfu)],
  ["attention", ({ attentionShare }) => percent(attentionShare)],
  ["GiB", ({ peakMib }) => (peakMib / 1024).toFixed(1)],
];
const percent = (share: number) => `${Math.round(100 * share)} %`;
const row = (cells: readonly (string | number)[]) => `| ${cells.join(" | ")} |`;
console.log(row(columns.map(([name]) => name)));
console.log(row(columns.map(() => "---")));
for (const line of lines) console.log(row(columns.map(([, of]) => of(line))));
for (const { axis, variant, batch, tokens, error } of all)
  if (error) console.log(`\n${axis}, ${variant}, batch ${batch}, ${tokens} tokens: ${error}`);

const grown = lines.filter(({ axis }) => axis === "tokens");
/** Microseconds of a token in a step. */
const perToken = ({ ms, batch, tokens }: Line) => (ms * 1e3) / batch / tokens;
if (grown.length > 1) console.log(`\n${whereHalf(grown)}`);
if (figure) writeFileAtomic(figure, draw(grown));

/** Attention's time a token by least squares, a + b n; what else a token takes is constant. */
function whereHalf(points: readonly Line[]): string {
  const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length;
  const attention = points.map((line) => perToken(line) * line.attentionShare);
  const [n, y] = [mean(points.map(({ tokens }) => tokens)), mean(attention)];
  const slope =
    mean(points.map(({ tokens }, i) => (tokens - n) * (attention[i]! - y))) /
    mean(points.map(({ tokens }) => (tokens - n) ** 2));
  const rest = mean(points.map((line) => perToken(line) * (1 - line.attentionShare)));
  const half = (rest - (y - slope * n)) / slope;
  return `A token takes ${rest.toFixed(2)} us besides attention, and attention half of the step from about ${Math.round(half)} tokens on.`;
}

function draw(points: readonly Line[]): string {
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const parts = points.flatMap((line) => [
    { tokens: `${line.tokens}`, part: "attention", us: perToken(line) * line.attentionShare },
    { tokens: `${line.tokens}`, part: "all else", us: perToken(line) * (1 - line.attentionShare) },
  ]);
  const svg = Plot.plot({
    ...{ width: 560, height: 320, marginLeft: 52, marginBottom: 44, document },
    style: { background: "white", color: "#222", fontFamily: "sans-serif", fontSize: "12px" },
    x: {
      label: "tokens of a sample",
      domain: points.map(({ tokens }) => `${tokens}`),
      padding: 0.3,
    },
    y: { label: "microseconds a token, S-B/16 train step", grid: true },
    color: { domain: ["all else", "attention"], range: ["#9fb4c7", "#c2553a"], legend: false },
    marks: [
      Plot.barY(parts, { x: "tokens", y: "us", fill: "part", order: ["all else", "attention"] }),
      Plot.text(points, {
        x: ({ tokens }: Line) => `${tokens}`,
        y: perToken,
        text: ({ attentionShare }: Line) => `attention ${percent(attentionShare)}`,
        dy: -8,
      }),
      Plot.ruleY([0]),
    ],
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return svg.outerHTML;
}
