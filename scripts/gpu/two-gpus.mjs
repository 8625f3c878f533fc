// Data-parallel training of S-B/16 at 256 pixels on one and on two GPUs, in one call: loss curves of the same global batch,
// throughput with and without ZeRO-1, of as large a batch for each GPU and of one batch shared by them, the share of communication
// that the backward pass hides, a killed process and its resume. The learning rate rises over all of the steps, as it does over
// the first steps of a real run; a control, one process with the batch in two parts, says how far rounding alone drives curves apart.
// One JSON line a result; exit status 1 where a check fails. Without GPUs it runs over Gloo, small:
//   node scripts/gpu/two-gpus.mjs --device cpu --variant Tiw48d2h3-Tiw48d2h3/8 --size 32 --batch 8 --steps 20
// On a GPU machine, in the unpacked package's folder: node two-gpus.mjs --data pictures --out results
import { spawn } from "node:child_process";
import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: given } = parseArgs({
  options: {
    device: { type: "string", default: "cuda" },
    variant: { type: "string", default: "S-B/16" },
    size: { type: "string", default: "256" },
    batch: { type: "string", default: "128" },
    steps: { type: "string", default: "100" },
    data: { type: "string", default: "drawn:train?count=512&size=64" },
    out: { type: "string", default: "/tmp/vitok-two-gpus" },
    processes: { type: "string", default: "2" },
    workers: { type: "string", default: "" }, // threads that read data, in each process
    precision: { type: "string", default: "" }, // bfloat16 on a GPU, float32 elsewhere
    only: { type: "string", default: "pace,curves,kill" },
    pace: { type: "boolean", default: false }, // one of the timed processes, started by this script
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
  train: { steps, batchSize: batch, peakLr: 3e-4, precision },
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
    ...[`model.variant=${given.variant}`, `data.size=${size}`, `data.path=${given.data}`],
    `evaluate.data=${given.data}`,
    ...["data.concurrency=8", "data.prefetch=4", "data.cacheMiB=4096", "losses.lpips=0"],
    ...[`train.steps=${count}`, `train.batchSize=${samples}`, "train.accumulate=1"],
    ...(given.workers ? [`data.workers=${given.workers}`] : []),
    ...["train.peakLr=3e-4", `train.warmupSteps=${count}`, `train.precision=${precision}`],
    ...["train.logEvery=1", "train.evalEvery=0", "train.gridEvery=0", "evaluate.count=8"],
    ...["evaluate.metrics=[psnr]", `train.saveEvery=${saveEvery}`, ...sets],
  ];
  const line = [
    ...["dist/cli/vitok.cjs", "train", "configs/s-b-16-256.yaml", "--out", out],
    ...["--nproc", String(nproc), "--set", `device=${given.device}`],
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

const middle = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

async function compareCurves() {
  const one = await train("one", { nproc: 1 });
  const rate = (run) => middle(run.steps.slice(10).map(({ imagesPerSecond }) => imagesPerSecond));
  const describe = (run) => ({
    first: run.losses[0],
    last: run.losses.at(-1),
    images_per_second: Math.round(rate(run)),
    data_wait_share: middle(run.steps.slice(10).map(({ dataWaitShare }) => dataWaitShare)),
    memory_mib: run.steps.at(-1)?.memoryMiB,
  });
  report("train, one process", describe(one), one.code === 0 && one.losses.length === steps);
  for (const [name, nproc, sets] of [
    ["replicated", processes, []],
    ["sharded", processes, ["train.shardOptimizer=true"]],
    ["one process, batch in two parts", 1, ["train.accumulate=2"]],
  ]) {
    const run = await train(name.replace(/\W+/g, "-"), { nproc, sets });
    const difference = apart(run.losses, one.losses);
    const fields = { ...describe(run), loss_difference: difference, limit: 0.01 };
    report(`train, ${name}, ${nproc} processes`, fields, run.code === 0 && difference < 0.01);
    saveCurve(name, run);
  }
  saveCurve("one process", one);
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

// --- Pace of the step alone, a batch that stays: no data, no log ---

const modes = {
  none: {}, // every process by itself
  overlapped: { isTogether: true },
  serial: { isTogether: true, overlaps: false },
  sharded: { isTogether: true, shardOptimizer: true },
};

/** Milliseconds a step, by mode, one mode after the other: a recorded step holds much of a GPU's memory. Rank 0 prints JSON. */
async function pace() {
  const [{ withTeam }, { Stage1 }, { parseTrainConfig }, torch] = await Promise.all(
    ["train/data-parallel.js", "train/stage1.js", "train/config.js", "torch/index.js"].map(load),
  );
  await withTeam({ device: given.device, resumeCommand: "none" }, async (team) => {
    if (isGpu) for (const flag of ["tf32", "cudnnBenchmark"]) torch.setFlag(flag, true);
    const config = parseTrainConfig(recipe);
    const count = batch / team.size;
    const bytes = Uint8Array.from({ length: count * size * size * 3 }, (_, i) => (i * 7919) >> 3);
    const indices = Array.from({ length: count }, (_, i) => team.rank * count + i);
    const still = { bytes, shape: [count, 1, size, size, 3], indices };
    const result = {};
    for (const [name, { isTogether, ...options }] of Object.entries(modes)) {
      const own = { ...config, train: { ...config.train, ...options } };
      const stage = new Stage1(own, team.device, isTogether ? team : undefined);
      result[name] = timeSteps(stage, still, { team, torch });
      stage.dispose();
      torch.emptyCache(team.device);
    }
    if (team.isFirst) console.log(JSON.stringify(result));
  });
}

/** The median of three spans of steps, each as a run makes them: a step is read when the next one is under way. */
function timeSteps(stage, still, { team, torch }) {
  let last;
  let step = 0;
  const run = (count) => {
    for (let i = 0; i < count; i++, step++) {
      const before = last;
      last = stage.start?.(still, step);
      if (!last) stage.step(still, step);
      before?.();
    }
    last?.();
    last = undefined;
    torch.synchronize(team.device);
  };
  run(6); // kernels are compiled, the step is recorded
  const count = Math.max(2, Math.min(10, Math.floor(steps / 3)));
  const spans = [1, 2, 3].map(() => {
    team.group?.barrier();
    const started = performance.now();
    run(count);
    return (performance.now() - started) / count;
  });
  return +middle(spans).toFixed(2);
}

async function timed(count, globalBatch) {
  const line = [fileURLToPath(import.meta.url), "--pace", "--batch", String(globalBatch)];
  for (const name of ["device", "variant", "size", "steps"]) line.push(`--${name}`, given[name]);
  const { environmentsOf } = await load("train/launch.js");
  const environments = await environmentsOf(count, process.env);
  const outputs = await Promise.all(
    environments.map((env) => {
      const child = spawn(process.execPath, line, { env, stdio: ["ignore", "pipe", "inherit"] });
      let text = "";
      child.stdout.on("data", (chunk) => {
        text += chunk;
      });
      return new Promise((ended) => child.once("close", () => ended(text)));
    }),
  );
  return JSON.parse(outputs[0]);
}

async function comparePace() {
  const one = await timed(1, batch);
  report("step, one process, ms", { batch, ...one });
  for (const globalBatch of [batch * processes, batch]) {
    const many = await timed(processes, globalBatch);
    report(`step, ${processes} processes, ms`, { batch: globalBatch, ...many });
    const ratio = (ms) => +(((one.none / ms) * globalBatch) / batch).toFixed(3);
    const [communication, exposed] = [many.serial - many.none, many.overlapped - many.none];
    report(`throughput against one process, ${globalBatch / processes} samples each`, {
      replicated: ratio(many.overlapped),
      sharded: ratio(many.sharded),
      goal: processes === 2 ? 1.9 : undefined,
      communication_ms: +communication.toFixed(2),
      hidden_share: +(1 - exposed / communication).toFixed(3),
    });
  }
}

if (given.pace) await pace();
else {
  rmSync(given.out, { recursive: true, force: true });
  mkdirSync(given.out, { recursive: true });
  const does = (part) => given.only.split(",").includes(part);
  if (does("pace")) await comparePace();
  if (does("curves")) await compareCurves();
  if (does("kill")) await killAndResume();
  process.exitCode = failed ? 1 : 0;
}
