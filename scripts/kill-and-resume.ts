// Kills a run of two processes with SIGKILL at random moments, one run a moment: the launcher or either process, any time from its
// start to its end. Every resume must succeed and end with the weights and the optimizer of the unbroken run, bit for bit.
// Usage: npx tsx scripts/kill-and-resume.ts [MOMENTS=20] [SEED=1]
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { randomStream } from "../src/data/random.js";
import { readRun } from "../src/train/log.js";
import { isGone, type Kill, trainTogether } from "../test/kill-together.js";

const [moments = 20, seed = 1] = process.argv.slice(2).map(Number);
const steps = 12;
const scratch = mkdtempSync(join(tmpdir(), "vitok-kill-"));
const random = randomStream(seed, 0, 0, 0);
const bytesOf = (out: string, file: string) =>
  readFileSync(join(out, "checkpoints", `step-${String(steps).padStart(7, "0")}`, file));

const whole = join(scratch, "whole");
const startedMs = performance.now();
if ((await trainTogether(whole, { steps })).code !== 0) throw new Error("The unbroken run failed.");
const wholeMs = performance.now() - startedMs;

let different = 0;
for (let moment = 0; moment < moments; moment++) {
  const out = join(scratch, `moment-${moment}`);
  const whom = (["launcher", 0, 1] as const)[Math.floor(random.next() * 3)]!;
  const kill: Kill = { whom, afterMs: Math.round(random.next() * wholeMs) };
  const killed = await trainTogether(out, { steps, kill });
  while (!killed.children.every(isGone)) await delay(20);
  const reached = readRun(out)?.steps.at(-1)?.step ?? 0;
  const { code, stderr } = await trainTogether(out, { steps, resume: true });
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
