// A metric over the scales of guidance, as `vitok evaluate GENERATOR --guidance 1,1.5,2 --json` scored them, as an SVG for documents.
// npx tsx scripts/draw-guidance.ts OUT.svg SCORES.json [METRIC], the first metric by default.
import { readFileSync, writeFileSync } from "node:fs";
import { drawPanel } from "../src/study/panel.js";

const [out, path, asked] = process.argv.slice(2);
if (!out || !path)
  throw new Error("Expected OUT.svg and SCORES.json. See this file's first lines.");

interface Scored {
  readonly guidance: number;
  readonly metrics: Readonly<Record<string, number>>;
  readonly protocol: { readonly count: number; readonly steps: number; readonly sampler: string };
}
const { scales } = JSON.parse(readFileSync(path, "utf8")) as {
  readonly scales?: readonly Scored[];
};
if (!scales?.length)
  throw new Error(`Expected scores of several scales of guidance in ${path}, received none.`);
const metric = asked ?? Object.keys(scales[0]!.metrics)[0]!;
const points = scales.map(({ guidance, metrics }) => [guidance, metrics[metric] ?? NaN] as const);
const { count, steps, sampler } = scales[0]!.protocol;
const svg = drawPanel({
  x: { label: "guidance" },
  y: { label: metric },
  ours: { marks: points.map(([x, y]) => ({ x, y })), curves: [{ points }] },
  paper: { marks: [], curves: [] },
  ...{ colours: [], marks: [], note: `${count} samples, ${steps} steps of ${sampler}` },
});
const paper = '<rect width="100%" height="100%" fill="#fff"/>';
writeFileSync(out, `${svg.replace(/^<svg[^>]*>/, (start) => start + paper)}\n`);
