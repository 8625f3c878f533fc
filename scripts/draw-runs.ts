// Evaluations during runs as curves, one panel a metric, in one SVG for the documents: what docs/images has of runs.
// npx tsx scripts/draw-runs.ts OUT.svg PSNR,LPIPS "stage 1=runs/a" "stage 2=runs/b@2000": a run's steps may begin later.
import { writeFileSync } from "node:fs";
import { drawChart } from "../src/evaluate/charts.js";
import { readRun } from "../src/train/log.js";

const [out, metrics, ...named] = process.argv.slice(2);
if (!out || !metrics || !named.length)
  throw new Error("Expected OUT.svg, metrics and NAME=RUN. See this file's first lines.");
const colours = ["#2f5d8a", "#c2602e", "#3f8060", "#8a4f8f"]; // the report's, of a light page
const runs = named.map((text) => {
  const [, name, folder, start = "0"] = /^(.+?)=(.+?)(?:@(\d+))?$/.exec(text) ?? [];
  const run = folder ? readRun(folder) : undefined;
  if (!name || !run)
    throw new Error(`Expected NAME=RUN with a run.jsonl in RUN, received ${text}.`);
  return { name, start: Number(start), evals: run.evals };
});
const size = { width: 400, height: 240 };
const panels = metrics.split(",").map((metric) => {
  const series = runs.map(({ name, start, evals }) => ({
    name,
    points: evals.map(({ step, metrics }) => [start + step, metrics[metric] ?? null] as const),
  }));
  return drawChart({ title: metric, label: metric, series }, size);
});
const placed = panels.map((svg, i) => svg.replace("<svg", `<svg x="${i * size.width}" y="0"`));
const width = panels.length * size.width;
const text = placed.join("").replace(/var\(--series-(\d)\)/g, (_, n) => colours[n - 1]!);
writeFileSync(
  out,
  `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${size.height}" width="${width}" role="img" ` +
    `aria-label="${metrics} over the steps of runs" style="background: #fff; color: #1d1c1a; font-family: sans-serif">${text}</svg>\n`,
);
