// `vitok train`'s own loop on a GPU, stage 1 of S-B/16 at 256 pixels: `trainer-graph.mjs WAY` with graph (the default of a recipe),
// kernels (no graph) or plain (libtorch's operators), one process a way; a line each: images/s, waiting for data, CPU time a
// step, losses. `trainer-graph.mjs compare` then says how far apart the losses are: 2 % at most. Pictures: DATA, or drawn ones.
// DEVICE=cpu tries it at a tiny size.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = process.env.VITOK_DIST ?? new URL("./node_modules/vitok/dist/", import.meta.url).href;
const { parseTrainConfig } = await import(`${root}train/config.js`);
const { train } = await import(`${root}train/trainer.js`);

const isTiny = process.env.DEVICE === "cpu";
const side = isTiny ? 32 : 256;
const steps = isTiny ? 12 : 80;
const timedFrom = steps / 2;
const settings = {
  graph: {},
  kernels: { graph: "off" },
  plain: { graph: "off", kernels: "off" },
};
const pathOf = (way) => join(tmpdir(), `vitok-trainer-${way}.json`);

async function run(way) {
  const out = mkdtempSync(join(tmpdir(), "vitok-trainer-"));
  const path = process.env.DATA ?? `drawn:train?count=512&size=${side}`;
  const config = parseTrainConfig({
    model: { variant: isTiny ? "Tiw48d1h2-Tiw48d1h2/8" : "S-B/16" },
    data: { path, size: side, concurrency: isTiny ? 2 : 16, cacheMiB: 8192, prefetch: 3 },
    losses: { lpips: 0 },
    train: {
      ...{ steps, batchSize: isTiny ? 4 : 128, accumulate: Number(process.env.ACCUMULATE ?? 1) },
      ...{ peakLr: 3e-4, logEvery: 1, evalEvery: 0, saveEvery: 0, gridEvery: 0, ...settings[way] },
    },
    evaluate: { data: `drawn:val?count=4&size=${side}`, count: 4 },
    device: isTiny ? "cpu" : "cuda:0",
  });
  const marks = {};
  const mark = (name) => {
    marks[name] = { ms: performance.now(), cpu: process.cpuUsage() };
  };
  await train(config, {
    ...{ out, command: "trainer-graph" },
    onStep: (step) => {
      if (step === timedFrom) mark("from");
      if (step === steps) mark("to");
    },
    onNote: (note) => console.error(note),
  });
  const lines = readFileSync(join(out, "run.jsonl"), "utf8").trim().split("\n").map(JSON.parse);
  rmSync(out, { recursive: true });
  const logged = lines.filter(({ type }) => type === "step");
  const timed = logged.filter(({ step }) => step > timedFrom);
  const count = steps - timedFrom;
  const { from, to } = marks;
  const used = process.cpuUsage(from.cpu).user + process.cpuUsage(from.cpu).system;
  const waits = timed.map(({ dataWaitShare }) => dataWaitShare);
  const line = {
    trainer: way,
    imgPerSecond: +((config.train.batchSize * count * 1e3) / (to.ms - from.ms)).toFixed(1),
    stepMs: +((to.ms - from.ms) / count).toFixed(2),
    dataWaitShare: +(waits.reduce((a, b) => a + b) / waits.length).toFixed(3),
    cpuMsPerStep: +(used / 1e3 / count).toFixed(1),
    peakMib: logged.at(-1).memoryMiB,
    losses: logged.map(({ loss }) => +loss.toFixed(5)),
    events: lines.filter(({ type }) => type === "event").map(({ text }) => text),
  };
  writeFileSync(pathOf(way), JSON.stringify(line));
  console.log(JSON.stringify(line));
}

function compare() {
  const read = (way) => JSON.parse(readFileSync(pathOf(way), "utf8")).losses;
  const plain = read("plain");
  for (const way of ["graph", "kernels"].filter((name) => existsSync(pathOf(name)))) {
    const apart = Math.max(...read(way).map((loss, i) => Math.abs(loss / plain[i] - 1)));
    if (!(apart < 0.02)) process.exitCode = 1;
    console.log(JSON.stringify({ compare: way, with: "plain", mostApart: +apart.toFixed(5) }));
  }
}

const [, , way = "graph"] = process.argv;
if (way === "compare") compare();
else await run(way);
