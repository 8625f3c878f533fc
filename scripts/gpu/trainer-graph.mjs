// `vitok train`'s own loop on a GPU, stage 1: `trainer-graph.mjs WAY [small] [SEED]` with graph (the default of a recipe), kernels
// (no graph) or plain (libtorch's operators), one process a way; a line each: images/s, waiting for data, CPU time a step,
// losses. S-B/16 at 256 pixels, or small: 500 steps of Ti-Ti/8 at 64. `trainer-graph.mjs compare [small]` says how far the
// losses of the ways are apart: 2 % at most over the first steps, and at the end no more than 10 %, or than two seeds are.
// Pictures: DATA, or drawn ones. DEVICE=cpu tries it at a tiny size.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const root = process.env.VITOK_DIST ?? new URL("./node_modules/vitok/dist/", import.meta.url).href;
const { parseTrainConfig } = await import(`${root}train/config.js`);
const { train } = await import(`${root}train/trainer.js`);

const [, , way = "graph", kind = "large", seed = "0"] = process.argv;
const isTiny = process.env.DEVICE === "cpu";
const shapes = {
  tiny: { variant: "Tiw48d1h2-Tiw48d1h2/8", side: 32, steps: 12, batchSize: 4, peakLr: 1e-3 },
  small: { variant: "Ti-Ti/8", side: 64, steps: 500, batchSize: 64, peakLr: 1e-3 },
  large: { variant: "S-B/16", side: 256, steps: 80, batchSize: 128, peakLr: 1e-4 },
};
const { variant, side, steps, batchSize, peakLr } = shapes[isTiny ? "tiny" : kind];
const timedFrom = steps / 2;
const settings = {
  graph: {},
  kernels: { graph: "off" },
  plain: { graph: "off", kernels: "off" },
};
const pathOf = (name, of) => join(tmpdir(), `vitok-trainer-${name}-${kind}-${of}.json`);

async function run() {
  const out = mkdtempSync(join(tmpdir(), "vitok-trainer-"));
  const path = process.env.DATA ?? `drawn:train?count=512&size=${side}`;
  const config = parseTrainConfig({
    model: { variant },
    data: { path, size: side, concurrency: isTiny ? 2 : 16, cacheMiB: 8192, prefetch: 3 },
    losses: { lpips: 0 },
    train: {
      ...{ steps, batchSize, peakLr, accumulate: Number(process.env.ACCUMULATE ?? 1) },
      ...{ logEvery: 1, evalEvery: 0, saveEvery: 0, gridEvery: 0, ...settings[way] },
    },
    evaluate: { data: `drawn:val?count=4&size=${side}`, count: 4 },
    device: isTiny ? "cpu" : "cuda:0",
    seed: Number(seed),
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
    ...{ trainer: way, kind, seed },
    imgPerSecond: +((config.train.batchSize * count * 1e3) / (to.ms - from.ms)).toFixed(1),
    stepMs: +((to.ms - from.ms) / count).toFixed(2),
    dataWaitShare: +(waits.reduce((a, b) => a + b) / waits.length).toFixed(3),
    cpuMsPerStep: +(used / 1e3 / count).toFixed(1),
    peakMib: logged.at(-1).memoryMiB,
    losses: logged.map(({ loss }) => +loss.toFixed(5)),
    events: lines.filter(({ type }) => type === "event").map(({ text }) => text),
  };
  writeFileSync(pathOf(way, seed), JSON.stringify(line));
  console.log(JSON.stringify(line));
}

/** Of all seeds that were run in both ways. */
function compare() {
  const read = (name, of) => JSON.parse(readFileSync(pathOf(name, of), "utf8")).losses;
  const seeds = ["0", "1", "2"].filter((of) => existsSync(pathOf("plain", of)));
  const endOf = (losses) => {
    const last = losses.slice(-Math.ceil(losses.length / 4));
    return last.reduce((a, b) => a + b) / last.length;
  };
  const ends = seeds.map((of) => endOf(read("plain", of)));
  const betweenSeeds = Math.max(...ends) / Math.min(...ends) - 1;
  for (const name of ["graph", "kernels"])
    for (const [i, of] of seeds.entries()) {
      if (!existsSync(pathOf(name, of))) continue;
      const [losses, plain] = [read(name, of), read("plain", of)];
      const first = losses.slice(0, 8).map((loss, step) => Math.abs(loss / plain[step] - 1));
      const end = endOf(losses) / ends[i] - 1;
      const isAlike = Math.max(...first) < 0.02 && Math.abs(end) < Math.max(0.1, betweenSeeds);
      if (!isAlike) process.exitCode = 1;
      const told = { firstApart: Math.max(...first), end: endOf(losses), plainEnd: ends[i] };
      const shown = Object.entries(told).map(([key, value]) => [key, +value.toFixed(5)]);
      const apart = { endApart: +end.toFixed(4), betweenSeeds: +betweenSeeds.toFixed(4) };
      console.log(
        JSON.stringify({
          compare: name,
          kind,
          seed: of,
          ok: isAlike,
          ...Object.fromEntries(shown),
          ...apart,
        }),
      );
    }
}

if (way === "compare") compare();
else await run();
