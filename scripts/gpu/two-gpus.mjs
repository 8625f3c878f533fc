// Data-parallel training of S-B/16 at 256 pixels on one and on two GPUs, in one call: loss curves of the same global batch,
// throughput with and without ZeRO-1, of as large a batch for each GPU and of one batch shared by them, by ways of averaging
// gradients, a killed process and its resume. The learning rate rises over all of the steps, as it does over the first of a real run.
// One JSON line a result; exit status 1 where a check fails. Without GPUs it runs over Gloo, small:
//   node scripts/gpu/two-gpus.mjs --device cpu --variant Tiw48d2h3-Tiw48d2h3/8 --size 32 --batch 8 --steps 20
// On a GPU machine, in the unpacked package's folder: node two-gpus.mjs --data pictures --out results; parts by --only pace,
// --only kill, --only curves --precision float32 --batch 32 (each about a minute).
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
  data: { path: given.data, size, concurrency: 8, prefetch: 4, cacheMiB: 4096 },
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

// --- Loss curves, through the command line ---

/**
 * Trains in a folder of its own; `kill` ends that process at that step. Resolves to exit code, losses and what was said.
 * Checkpoints are written every so many steps, by default at the end only.
 */
async function train(name, { nproc, sets = [], resume = false, kill, ...length }) {
  const out = join(given.out, name);
  const { readRun } = await load("train/log.js");
  const { count = steps, samples = batch, saveEvery = 0 } = length;
  const settings = [
    `device=${given.device}`,
    ...[`model.variant=${given.variant}`, `data.size=${size}`, `data.path=${given.data}`],
    `evaluate.data=${given.data}`,
    ...["data.concurrency=8", "data.prefetch=4", "data.cacheMiB=4096", "losses.lpips=0"],
    ...[`train.steps=${count}`, `train.batchSize=${samples}`, "train.accumulate=1"],
    ...(given.workers ? [`data.workers=${given.workers}`] : []),
    ...[`train.peakLr=${given.lr}`, `train.warmupSteps=${count}`, `train.precision=${precision}`],
    ...["train.logEvery=1", "train.evalEvery=0", "train.gridEvery=0", "evaluate.count=8"],
    ...["evaluate.metrics=[psnr]", `train.saveEvery=${saveEvery}`, ...sets],
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

/** The greatest relative difference of two curves. */
const apart = (a, b) =>
  a.length === b.length && a.length > 0
    ? Math.max(...a.map((loss, i) => Math.abs(loss / b[i] - 1)))
    : Number.POSITIVE_INFINITY;

const mean = (numbers) => numbers.reduce((sum, number) => sum + number, 0) / numbers.length;
const middle = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

/** The same of both curves' means over ten steps: what rounding throws to and fro in a step is not in them. */
const apartSmoothed = (a, b) => apart(smoothed(a), smoothed(b));
const smoothed = (losses) => losses.slice(9).map((_, i) => mean(losses.slice(i, i + 10)));

/**
 * Curves of the same batches: over two processes, with ZeRO-1, and, as a control, of one process that takes them in two parts,
 * against one that takes them whole. In float32 they are to be within 1 %, step by step. In bfloat16 the weights' gradients are
 * rounded before they are added, which one that takes them whole does not do: there the control says what rounding alone does,
 * and two processes are to be within 1 % of that.
 */
async function compareCurves() {
  const exact = precision === "float32";
  const sets = exact ? ["train.tf32=false"] : [];
  const device = (index) => (isGpu ? [`device=cuda:${index}`] : []);
  const run = async (name, nproc, more) => {
    const result = await train(name.replace(/\W+/g, "-"), { nproc, sets: [...sets, ...more] });
    saveCurve(name, result);
    return result;
  };
  // At once, each on a GPU of its own.
  const [whole, parts] = await Promise.all([
    run("one process", 1, device(0)),
    run("one process, in two parts", 1, ["train.accumulate=2", ...device(processes - 1)]),
  ]);
  describe("one process", whole, {});
  describe("one process, in two parts", parts, { whole }, { limit: exact ? 0.01 : undefined });
  for (const [name, more] of [
    [`${processes} processes`, []],
    [`${processes} processes, ZeRO-1`, ["train.shardOptimizer=true"]],
  ])
    describe(name, await run(name, processes, more), { whole, parts }, { limit: 0.01, exact });
}

/** Reports a run, and how far it is from others; it has to be within the limit of the first, or where that is not exact of the last. */
function describe(name, run, others, { limit, exact = true } = {}) {
  const rest = run.steps.slice(10);
  const differences = Object.entries(others).map(([other, { losses }]) => [
    other,
    { most: apart(run.losses, losses), smoothed: apartSmoothed(run.losses, losses) },
  ]);
  const [, { most } = { most: 0 }] = differences.at(exact ? 0 : -1) ?? [];
  report(
    `train, ${name}`,
    {
      ...{ precision, peak_lr: Number(given.lr), first: run.losses[0], last: run.losses.at(-1) },
      images_per_second: Math.round(middle(rest.map(({ imagesPerSecond }) => imagesPerSecond))),
      data_wait_share: middle(rest.map(({ dataWaitShare }) => dataWaitShare)),
      memory_mib: run.steps.at(-1)?.memoryMiB,
      ...{ apart_from: Object.fromEntries(differences), limit },
    },
    run.code === 0 && run.losses.length === steps && !(limit && most >= limit),
  );
}

const saveCurve = (name, { losses }) =>
  appendFileSync(join(given.out, "curves.jsonl"), `${JSON.stringify({ name, losses })}\n`);

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
  "buckets of 25 MiB": {},
  "buckets of 100 MiB": { bucketBytes: 100 * 2 ** 20 },
  "one bucket": { bucketBytes: 2 ** 40 },
  "where they lie": { overlaps: false },
  "ZeRO-1": { shardOptimizer: true },
};
const isUrgent = { TORCH_NCCL_HIGH_PRIORITY: "1" };
/** What is timed: the most important first. `names` are of `ways`. */
const rounds = [
  { samples: batch, names: Object.keys(ways) },
  { samples: batch, env: isUrgent, names: ["buckets of 25 MiB", "buckets of 100 MiB"] },
  { samples: batch / processes, names: ["alone", "buckets of 25 MiB", "where they lie", "ZeRO-1"] },
  { samples: batch, env: { ...isUrgent, NCCL_MAX_CTAS: "8" }, names: ["buckets of 25 MiB"] },
];

/** Runs pace.mjs in all processes; `hear` gets what the first one says, line by line. */
async function timeWays({ samples, env = {}, names }, hear) {
  const count = Math.max(2, Math.min(8, Math.floor(steps / 3)));
  const chosen = Object.fromEntries(names.map((name) => [name, ways[name]]));
  const dist = join(packageRoot, "dist");
  const task = JSON.stringify({ dist, recipe, samples, count, ways: chosen });
  const { environmentsOf } = await load("train/launch.js");
  const environments = await environmentsOf(processes, { ...process.env, ...env });
  const codes = environments.map((own, rank) => {
    const child = spawn(process.execPath, [join(here, "pace.mjs"), task], {
      env: own,
      stdio: ["ignore", rank === 0 ? "pipe" : "inherit", "inherit"],
    });
    if (child.stdout) createInterface(child.stdout).on("line", (line) => hear(JSON.parse(line)));
    return new Promise((ended) => child.once("close", ended));
  });
  return Math.max(...(await Promise.all(codes)));
}

/** Throughput is against the mean of what the processes do alone with `batch` samples: one may be slower than the other. */
async function comparePace() {
  let one = Number.NaN; // ms of a step of `batch` samples, in the mean
  const alone = {}; // by samples, ms in every process
  const exposed = {}; // by samples, what averaging adds where nothing is hidden
  for (const round of rounds) {
    const { samples, env = {} } = round;
    const code = await timeWays(round, ({ way, wire, ms, memory_mib }) => {
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
        ...{ samples, ...env, ms, added_ms: +added.toFixed(2), memory_mib },
        throughput: +(((samples * processes) / Math.max(...ms)) * (one / batch)).toFixed(3),
        goal: processes === 2 ? 1.9 : undefined,
      });
    });
    if (code !== 0) report("pace", { samples, ...env, code }, false);
  }
  report("added where nothing is hidden, by samples", {
    ms: exposed,
    share_hidden: "1 - added_ms / this",
  });
}

rmSync(given.out, { recursive: true, force: true });
mkdirSync(given.out, { recursive: true });
const does = (part) => given.only.split(",").includes(part);
if (does("pace")) await comparePace();
if (does("curves")) await compareCurves();
if (does("kill")) await killAndResume();
process.exitCode = failed ? 1 : 0;
