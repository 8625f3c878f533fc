// What run.sh measured as one table: ours, the opponent with torch.compile and eager, and the ratio of ours to compile. Several
// runs of a case are averaged, on either side; those that try something users do not get are left out. Usage: node scripts/gpu/ratios.mjs FOLDER (of speed.mjs.jsonl, anchor-clip.jsonl
// and anchor.jsonl, as far as they are there).
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";

const cases = {
  "train-lpips": "step with LPIPS (VGG16), S-B/16",
  train: "step, S-B/16",
  encode: "encode, S-B/16",
  decode: "decode, S-B/16",
  roundtrip: "round trip, S-B/16",
  clips: "step, S-B/4x8, clips",
  p8: "step, S-B/8",
  large: "step, S-L/16",
};

/** Samples a second by case and side, of the lines of the three files. */
function ratesOf({ ours, theirs, anchors }) {
  const rates = {};
  const add = (name, side, rate) => {
    if (!(name in cases) || !(rate > 0)) return;
    rates[name] ??= { ours: [], compile: [], eager: [] };
    rates[name][side].push(rate);
  };
  for (const line of ours)
    if (line.way === "graph" && !Object.keys(line).some((key) => key.includes("ATTENTION")))
      add(line.case, "ours", line.imgPerSecond);
  for (const line of theirs)
    add(String(line.torch).replace(/-eager$/, ""), sideOf(line), line.imgPerSecond);
  for (const line of anchors)
    if (line.case === "infer" && line.model === "vitok")
      for (const name of ["encode", "decode", "roundtrip"])
        add(name, sideOf(line), line[`${name}_img_s`]);
  return rates;
}

const sideOf = ({ compiled }) => (compiled ? "compile" : "eager");

/** A Markdown table of ratesOf()'s. */
function tableOf(rates) {
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const shown = (rate) => (rate ? Math.round(rate).toLocaleString("en-US") : "");
  const rows = Object.entries(cases)
    .filter(([name]) => rates[name])
    .map(([name, title]) => {
      const { ours, compile, eager } = rates[name];
      const [own, compiled, plain] = [ours, compile, eager].map(mean);
      const ratio = own && compiled ? (own / compiled).toFixed(2) : "";
      return `| ${[title, shown(own), shown(compiled), shown(plain), ratio].join(" | ")} |`;
    });
  const head = [
    "| samples a second | ours | torch.compile | eager | ours / compile |",
    "|---|---|---|---|---|",
  ];
  return [...head, ...rows].join("\n");
}

function linesOf(path) {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, "utf8").split("\n");
  return lines.filter((line) => line.startsWith("{")).map((line) => JSON.parse(line));
}

const of = (name) => linesOf(join(process.argv[2] ?? ".", name));
const [ours, theirs] = [of("speed.mjs.jsonl"), of("anchor-clip.jsonl")];
console.log(tableOf(ratesOf({ ours, theirs, anchors: of("anchor.jsonl") })));
