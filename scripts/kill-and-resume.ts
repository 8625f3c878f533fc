// Kills a run of two processes that reads shards with SIGKILL at random moments, one run a moment: the launcher or either process, a
// third of them while it starts, the others at a step. Every resume must succeed and end with the weights and the optimizer of the unbroken run, bit for bit.
// Usage: npx tsx scripts/kill-and-resume.ts [MOMENTS=20] [SEED=1]
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { fileURLToPath } from "node:url";
import { randomStream } from "../src/data/random.js";
import { readRun } from "../src/train/log.js";
import { isGone, type Kill, trainTogether } from "../test/kill-together.js";

const [moments = 20, seed = 1] = process.argv.slice(2).map(Number);
const steps = 12;
const scratch = mkdtempSync(join(tmpdir(), "vitok-kill-"));
const random = randomStream(seed, 0, 0, 0);
const bytesOf = (out: string, file: string) =>
  readFileSync(join(out, "checkpoints", `step-${String(steps).padStart(7, "0")}`, file));

const shards = join(scratch, "shards");
const cli = fileURLToPath(new URL("../dist/cli/main.js", import.meta.url));
const drawn = "drawn:train?count=40&size=32";
execFileSync(process.execPath, [cli, "pack", drawn, "--out", shards, "--shard-size", "10"]);
const settings = [`data.path=${shards}`];

const whole = join(scratch, "whole");
const startedMs = performance.now();
const unbroken = await trainTogether(whole, { steps, settings });
if (unbroken.code !== 0) throw new Error(`The unbroken run failed: ${unbroken.stderr}`);
const wholeMs = performance.now() - startedMs;

let different = 0;
for (let moment = 0; moment < moments; moment++) {
  const out = join(scratch, `moment-${moment}`);
  const whom = (["launcher", 0, 1] as const)[Math.floor(random.next() * 3)]!;
  const kill: Kill =
    random.next() < 1 / 3
      ? { whom, afterMs: Math.round((random.next() * wholeMs) / 2) }
      : { whom, atStep: 1 + random.int(steps - 1) };
  const killed = await trainTogether(out, { steps, kill, settings });
  while (!killed.children.every(isGone)) await delay(20);
  const reached = readRun(out)?.steps.at(-1)?.step ?? 0;
  const { code, stderr } = await trainTogether(out, { steps, resume: true, settings });
  const isSame =
    code === 0 &&
    ["model.safetensors", "optimizer.safetensors"].every((file) =>
      bytesOf(out, file).equals(bytesOf(whole, file)),
    );
  if (!isSame) different++;
  console.log(JSON.stringify({ moment, ...kill, reached, resumed: code, isSame }));
  if (code !== 0) console.error(stderr);
  rmSync(out, { recursive: true, force: true });
}
rmSync(scratch, { recursive: true, force: true });
console.log(`${moments - different} of ${moments} ended as the unbroken run`);
process.exitCode = different ? 1 : 0;
