// Data-parallel training of S-B/16 at 256 pixels on one and on two GPUs, in one call: loss curves of the same global batch,
// throughput with and without ZeRO-1, of as large a batch for each GPU and of one batch shared by them, by ways of averaging
// gradients, a killed process and its resume. The learning rate rises over all of the steps, as it does over the first of a real run.
// One JSON line a result; exit status 1 where a check fails. Without GPUs it runs over Gloo, small:
//   node scripts/gpu/two-gpus.mjs --device cpu --variant Tiw48d2h3-Tiw48d2h3/8 --size 32 --batch 8 --steps 20
// On a GPU machine, in the unpacked package's folder: node two-gpus.mjs --data pictures --out results; parts by --only pace,
// --only kill, --only curves --precision float32 --batch 16 (each about a minute).
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: given } = parseArgs({
  options: {
    device: { type: "string", default: "cuda" },
    variant: { type: "string", default: "S-B/16" },
    size: { type: "string", default: "256" },
    batch: { type: "string", default: "128" },
    steps: { type: "string", default: "100" },
    lr: { type: "string", default: "3e-4" }, // the curves' peak, far above what a recipe has for such batches
    data: { type: "string", default: "drawn:train?count=512&size=64" },
    out: { type: "string", default: "/tmp/vitok-two-gpus" },
    processes: { type: "string", default: "2" },
    seconds: { type: "string", default: "60" }, // after which no further way of averaging is timed
    workers: { type: "string", default: "" }, // threads that read data, in each process
    precision: { type: "string", default: "" }, // bfloat16 on a GPU, float32 elsewhere
    only: { type: "string", default: "pace,curves,kill" },
  },
});
const here = dirname(fileURLToPath(import.meta.url));
const packageRoot = [join(here, "node_modules/vitok"), resolve(here, "../..")].find((folder) =>
  existsSync(join(folder, "dist/cli/main.js")),
);
const load = (path) => import(join(packageRoot, "dist", path));
const [size, batch, steps, processes] = ["size", "batch", "steps", "processes"].map((name) =>
  Number(given[name]),
);
const isGpu = given.device !== "cpu";
const precision = given.precision || (isGpu ? "bfloat16" : "float32");
const recipe = {
  model: { variant: given.variant },
  data: {
    ...{ path: given.data, size, concurrency: 8, prefetch: 4, cacheMiB: 4096 },
    ...(given.workers ? { workers: Number(given.workers) } : {}),
  },
  losses: { lpips: 0 },
  train: { steps, peakLr: 3e-4, precision },
  device: given.device,
};

let failed = 0;
function report(name, fields, isGood = true) {
  if (!isGood) failed++;
  const line = JSON.stringify({ name, ok: isGood, ...fields });
  console.log(line);
  appendFileSync(join(given.out, "two-gpus.jsonl"), `${line}\n`);
}

// --- Loss curves: curves.mjs in every process ---

/**
 * Curves of the same batches: over all processes, with ZeRO-1, and, as a control, of one process that takes them in two parts,
 * against one that takes them whole. In float32 they are to be within 1 %, step by step. In bfloat16 the weights' gradients are
 * rounded before they are added, which one that takes them whole does not do: there the control says what rounding alone does,
 * and the processes are to be within 1 % of that.
 */
async function compareCurves() {
  const isExact = precision === "float32";
  const known = {}; // by name, the curves of one process
  const train = { ...recipe.train, peakLr: Number(given.lr), warmupSteps: steps, tf32: !isExact };
  const task = { recipe: { ...recipe, train: { ...train, batchSize: batch } } };
  const code = await runTogether("curves.mjs", task, ({ name, losses, seconds }) => {
    const differences = Object.entries(known).map(([other, theirs]) => [
      other,
      { most: apart(losses, theirs), smoothed: apart(smoothed(losses), smoothed(theirs)) },
    ]);
    const isTogether = !name.startsWith("one");
    const { most } = differences.at(isExact ? 0 : -1)?.[1] ?? { most: 0 };
    const hasLimit = isExact || isTogether;
    report(
      `curve, ${name}`,
      {
        ...{ precision, batch, peak_lr: train.peakLr, seconds },
        ...{ first: losses[0], last: losses.at(-1), apart_from: Object.fromEntries(differences) },
        ...(hasLimit ? { limit: 0.01 } : {}),
      },
      losses.length === steps && !(hasLimit && most >= 0.01),
    );
    if (!isTogether) known[name] = losses;
    appendFileSync(join(given.out, "curves.jsonl"), `${JSON.stringify({ name, losses })}\n`);
  });
  if (code !== 0) report("curves", { code }, false);
}

/** The greatest relative difference of two curves. */
const apart = (a, b) =>
  a.length === b.length && a.length > 0
    ? Math.max(...a.map((loss, i) => Math.abs(loss / b[i] - 1)))
    : Number.POSITIVE_INFINITY;

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;

/** Means over ten steps: what rounding throws to and fro from step to step is not in them. */
const smoothed = (losses) =>
  losses.length < 10
    ? [mean(losses)]
    : losses.slice(9).map((_, i) => mean(losses.slice(i, i + 10)));

// --- A run that is killed, through the command line ---

/**
 * Trains in a folder of its own; `kill` ends that process at that step. Resolves to exit code, losses and what was said.
 * Checkpoints are written every `saveEvery` steps.
 */
async function train(name, { nproc, resume = false, kill, ...length }) {
  const out = join(given.out, name);
  const { readRun } = await load("train/log.js");
  const { count, samples, saveEvery } = length;
  const settings = [
    `device=${given.device}`,
    ...[`model.variant=${given.variant}`, `data.size=${size}`, `data.path=${given.data}`],
    `evaluate.data=${given.data}`,
    ...["data.concurrency=8", "data.prefetch=4", "data.cacheMiB=4096", "losses.lpips=0"],
    ...[`train.steps=${count}`, `train.batchSize=${samples}`, "train.accumulate=1"],
    ...(given.workers ? [`data.workers=${given.workers}`] : []),
    ...["train.peakLr=3e-4", `train.warmupSteps=${count}`, `train.precision=${precision}`],
    ...["train.logEvery=1", "train.evalEvery=0", "train.gridEvery=0", "evaluate.count=8"],
    ...["evaluate.metrics=[psnr]", `train.saveEvery=${saveEvery}`],
  ];
  const line = [
    ...["dist/cli/vitok.cjs", "train", "configs/s-b-16-256.yaml", "--out", out],
    ...["--nproc", String(nproc)],
    ...settings.flatMap((set) => ["--set", set]),
    ...(resume ? ["--resume"] : []),
  ];
  const child = spawn(process.execPath, line, {
    cwd: packageRoot,
    stdio: ["ignore", "ignore", "pipe"],
  });
  let said = "";
  child.stderr.on("data", (chunk) => {
    said += chunk;
  });
  const watch = setInterval(() => {
    if (!kill || (readRun(out)?.steps.at(-1)?.step ?? 0) < kill.atStep) return;
    clearInterval(watch);
    const victim = childrenOf(child.pid)[kill.rank]; // none: the run was over first, which the report will say
    if (victim) process.kill(victim, "SIGKILL");
  }, 20);
  const code = await new Promise((ended) => child.once("close", ended));
  clearInterval(watch);
  const run = readRun(out);
  if (code !== 0 && !kill) console.error(said);
  return { code, said, losses: run?.steps.map(({ loss }) => loss) ?? [], steps: run?.steps ?? [] };
}

const childrenOf = (pid) =>
  readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").trim().split(" ").map(Number);

/** A run that is killed and resumed against one left alone: short ones, at once, over the same processes. */
async function killAndResume() {
  const rank = processes - 1;
  const count = Math.min(steps, 30);
  const saveEvery = Math.ceil(count / 3);
  const length = { nproc: processes, count, samples: Math.min(batch, 64), saveEvery };
  const kill = { rank, atStep: Math.floor(count / 2) };
  const started = performance.now();
  const [whole, killed] = await Promise.all([
    train("left-alone", length),
    train("killed", { ...length, kill }),
  ]);
  const tells = killed.said.includes(`Process ${rank} was ended by SIGKILL`);
  const tellsHow = killed.said.includes("--resume");
  report(
    "killed process ends the run",
    {
      ...{ code: killed.code, steps: killed.steps.length },
      ...{ tells_what_happened: tells, tells_how_to_resume: tellsHow },
      said: killed.said.slice(0, 1000),
    },
    killed.code === 1 && tells && tellsHow,
  );
  const resumed = await train("killed", { ...length, resume: true });
  const difference = apart(resumed.losses, whole.losses);
  report(
    "resumed run against one left alone",
    {
      ...{ code: resumed.code, steps: resumed.steps.length, loss_difference: difference },
      ...{ limit: 0.01, seconds: Math.round((performance.now() - started) / 1000) },
    },
    whole.code === 0 && resumed.code === 0 && difference < 0.01,
  );
}

// --- Pace of the step alone: pace.mjs in every process ---

const ways = {
  alone: { isAlone: true }, // each process by itself, all at once
  "where they lie": { overlaps: false },
  "ZeRO-1": { shardOptimizer: true },
  "buckets of 25 MiB": { overlaps: true },
  "buckets of 100 MiB": { overlaps: true, bucketBytes: 100 * 2 ** 20 },
  "one bucket": { overlaps: true, bucketBytes: 2 ** 40 },
};
/** What is timed, as far as --seconds goes: the most important first. `names` are of `ways`. */
const rounds = [
  { samples: batch, names: Object.keys(ways) },
  { samples: batch / processes, names: ["alone", "where they lie", "ZeRO-1", "buckets of 25 MiB"] },
];

/** Throughput is against the mean of what the processes do alone with `batch` samples: one may be slower than the other. */
async function comparePace() {
  let one = Number.NaN; // ms of a step of `batch` samples, in the mean
  const alone = {}; // by samples, ms in every process
  const exposed = {}; // by samples, what averaging adds where nothing is hidden
  const until = performance.now() + 1000 * Number(given.seconds);
  for (const { samples, names } of rounds) {
    const seconds = (until - performance.now()) / 1000;
    if (seconds < 10) break;
    const count = Math.max(2, Math.min(6, Math.floor(steps / 3)));
    const chosen = Object.fromEntries(names.map((name) => [name, ways[name]]));
    const task = { recipe, samples, count, seconds, ways: chosen };
    const code = await runTogether("pace.mjs", task, ({ way, wire, ms, memory_mib }) => {
      if (wire) return report("averaging the gradients' bytes alone", wire);
      if (way === "alone") {
        alone[samples] = ms;
        if (samples === batch) one = mean(ms);
        const slower = ms.indexOf(Math.max(...ms));
        return report("step alone", { samples, ms, slower_process: slower, memory_mib });
      }
      const added = Math.max(...ms) - Math.max(...alone[samples]);
      if (way === "where they lie") exposed[samples] = added;
      report(`step together, ${way}`, {
        ...{ samples, ms, added_ms: +added.toFixed(2), memory_mib },
        throughput: +(((samples * processes) / Math.max(...ms)) * (one / batch)).toFixed(3),
        goal: processes === 2 ? 1.9 : undefined,
        // Against averaging all at once, behind the backward pass, without a copy.
        ...(ways[way].overlaps ? { share_hidden: +(1 - added / exposed[samples]).toFixed(2) } : {}),
      });
    });
    if (code !== 0) report("pace", { samples, code }, false);
  }
}

/** Runs a script of this folder in all processes; `hear` gets what the first one says, line by line. Resolves to the exit code. */
async function runTogether(script, task, hear) {
  const { environmentsOf } = await load("train/launch.js");
  const environments = await environmentsOf(processes, process.env);
  const told = JSON.stringify({ dist: join(packageRoot, "dist"), ...task });
  const codes = environments.map((own, rank) => {
    const child = spawn(process.execPath, [join(here, script), told], {
      env: own,
      stdio: ["ignore", rank === 0 ? "pipe" : "inherit", "inherit"],
    });
    if (child.stdout) createInterface(child.stdout).on("line", (line) => hear(JSON.parse(line)));
    return new Promise((ended) => child.once("close", ended));
  });
  return Math.max(...(await Promise.all(codes)).map((code) => code ?? 1));
}

rmSync(given.out, { recursive: true, force: true });
mkdirSync(given.out, { recursive: true });
const does = (part) => given.only.split(",").includes(part);
if (does("pace")) await comparePace();
if (does("curves")) await compareCurves();
if (does("kill")) await killAndResume();
process.exitCode = failed ? 1 : 0;
