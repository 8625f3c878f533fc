// Twenty seconds of a 720p video, sampled at 2 fps, through a tiny model in tiles and chunks, as a user would run it: the process
// stays within its budget of memory, read from outside. That it stays flat is ten minutes' work: bench/long-video.ts. Linux only.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, expect, it } from "vitest";
import { toolPath } from "../src/media/ffmpeg.js";
import { probeVideo } from "../src/media/video-info.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { noGrad } from "../src/torch/index.js";
import { canTestVideo } from "./video-files.js";

const folder = mkdtempSync(join(tmpdir(), "vitok-long-"));
afterAll(() => rmSync(folder, { recursive: true }));
const budgetMiB = 1536;

/** Runs the command line; resolves to its JSON and its resident memory, MiB, ten times a second. */
async function watch(args: readonly string[]): Promise<{ json: string; residents: number[] }> {
  const cwd = fileURLToPath(new URL("..", import.meta.url));
  const child = spawn(process.execPath, ["dist/cli/main.js", ...args], {
    ...{ cwd, stdio: ["ignore", "pipe", "ignore"] },
  });
  const residents: number[] = [];
  const timer = setInterval(() => {
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    const kibibytes = /VmRSS:\s+(\d+)/.exec(status)?.[1];
    if (kibibytes) residents.push(Number(kibibytes) / 1024);
  }, 100);
  let json = "";
  child.stdout!.setEncoding("utf8").on("data", (text: string) => {
    json += text;
  });
  const code = await new Promise((done) => child.on("close", done));
  clearInterval(timer);
  expect(code).toBe(0);
  return { json, residents };
}

it.skipIf(process.platform !== "linux" || !canTestVideo())(
  "a 720p video goes through a tiny model within its budget of memory",
  async () => {
    const [model, input] = [join(folder, "model"), join(folder, "long.mp4")];
    const tokenizer = Tokenizer.create("Tiw48d1h2-Tiw48d1h2/4x16");
    noGrad(() => tokenizer.decoder.toPixels.weight.mul_(1e-3)); // noise would cost the encoder of its videos more than the model
    tokenizer.save(model, { provenance: { size: 256, frames: 16, fps: 2 } });
    tokenizer.dispose();
    const source = ["-f", "lavfi", "-i", "testsrc2=size=1280x720:rate=4", "-t", "20"];
    const coding = ["-c:v", "libx264", "-preset", "ultrafast"];
    execFileSync(toolPath("ffmpeg"), ["-v", "error", ...source, ...coding, input]);
    const options = ["--fps", "2", "--memory", `${budgetMiB}MiB`, "--out", join(folder, "out")];
    const { json, residents } = await watch(["reconstruct", model, input, ...options, "--json"]);
    const { files } = JSON.parse(json);
    expect(files[0]).toMatchObject({ frames: 40, fps: 2, height: 720, width: 1280 });
    expect(await probeVideo(join(folder, "out", "long.mp4"))).toMatchObject({ durationS: 20 });
    expect(Math.max(...residents)).toBeLessThan(budgetMiB);
  },
  600_000, // fifteen seconds on two idle cores; on busy ones much longer
);
