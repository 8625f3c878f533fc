// Peak memory in tensors and time of a training step, with and without activation checkpointing and ZeRO-1, in one and two
// processes: `npx tsx bench/training-memory.ts [VARIANT] [SIZE] [BATCH] [STEPS] [DEVICE]`. Each way is a run of the command line on drawn
// pictures; the batch is that of all processes together, memory that of process 0. On a shared machine only memory counts.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { readRun } from "../src/train/log.js";

const [variant = "S-S/16", size = "128", batch = "8", steps = "6", device = "auto"] =
  process.argv.slice(2);
const root = fileURLToPath(new URL("..", import.meta.url));
const scratch = mkdtempSync(join(tmpdir(), "vitok-memory-"));
const middle = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;

function measure(name: string, processes: number, sets: readonly string[]): void {
  const out = join(scratch, `${name.replace(/\W+/g, "-")}-${processes}`);
  const settings = [
    ...[`model.variant=${variant}`, `data.size=${size}`, `data.path=drawn:train?count=64&size=64`],
    ...[`train.batchSize=${batch}`, `train.steps=${steps}`, "train.accumulate=1", "losses.lpips=0"],
    ...["train.logEvery=1", "train.evalEvery=0", "train.gridEvery=0", "train.saveEvery=0"],
    ...["evaluate.data=drawn:val?count=4&size=64", "evaluate.count=4", "evaluate.metrics=[psnr]"],
    ...[`device=${device}`, ...sets],
  ];
  const line = ["dist/cli/vitok.cjs", "train", "configs/s-b-16-256.yaml", "--out", out];
  const all = settings.flatMap((set) => ["--set", set]);
  const { status, stderr } = spawnSync(
    process.execPath,
    [...line, "--nproc", `${processes}`, ...all],
    { cwd: root, encoding: "utf8" },
  );
  if (status !== 0) throw new Error(stderr);
  const logged = readRun(out)!.steps.slice(2); // the first ones allocate
  const peakMiB = Math.max(...logged.map(({ memoryMiB }) => memoryMiB));
  const msPerStep = middle(logged.map((step) => (1000 * Number(batch)) / step.imagesPerSecond));
  console.log(JSON.stringify({ name, processes, peakMiB, msPerStep: Math.round(msPerStep) }));
}

const checkpointing = "train.checkpointing=true";
const sharding = "train.shardOptimizer=true";
measure("plain", 1, []);
measure("checkpointing", 1, [checkpointing]);
measure("plain", 2, []);
measure("checkpointing", 2, [checkpointing]);
measure("ZeRO-1", 2, [sharding]);
measure("checkpointing, ZeRO-1", 2, [checkpointing, sharding]);
rmSync(scratch, { recursive: true, force: true });
