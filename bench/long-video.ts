// A long 720p video, drawn by ffmpeg and sampled at 2 fps, through a tiny model in tiles and chunks: is memory flat? Also an
// 8192 x 8192 picture under 2 GiB. The command runs as a user would run it, and its resident memory is read from outside.
// Usage: npx tsx bench/long-video.ts [MINUTES (10)] [CURVE.svg], or npx tsx bench/long-video.ts picture [SIDE] (8192). Linux only.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as Plot from "@observablehq/plot";
import { parseHTML } from "linkedom";
import { toolPath } from "../src/media/ffmpeg.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { noGrad } from "../src/torch/index.js";

const [what = "10", second] = process.argv.slice(2);
const side = second ?? "8192";
const folder = mkdtempSync(join(tmpdir(), "vitok-long-"));
const everyMs = 250;

try {
  const model = join(folder, "model");
  const isPicture = what === "picture";
  const tokenizer = Tokenizer.create(
    isPicture ? "Tiw96d2h3-Tiw96d2h3/16" : "Tiw96d2h3-Tiw96d2h3/4x16",
  );
  noGrad(() => tokenizer.decoder.toPixels.weight.mul_(1e-3)); // noise would cost the encoder of its videos more than the model
  tokenizer.save(model, {
    provenance: isPicture ? { size: 256 } : { size: 256, frames: 16, fps: 2 },
  });
  tokenizer.dispose();
  const input = join(folder, isPicture ? "large.png" : "long.mp4");
  const size = isPicture ? `${side}x${side}` : "1280x720";
  const length = isPicture ? ["-frames:v", "1"] : ["-t", String(60 * Number(what))];
  const coding = isPicture ? [] : ["-c:v", "libx264", "-preset", "ultrafast", "-g", "100"];
  const source = ["-f", "lavfi", "-i", `testsrc2=size=${size}:rate=10`];
  execFileSync(toolPath("ffmpeg"), ["-v", "error", "-y", ...source, ...length, ...coding, input]);
  const options = isPicture ? ["--memory", "2GiB"] : ["--fps", "2", "--memory", "1536MiB"];
  const args = ["reconstruct", model, input, ...options, "--out", join(folder, "out"), "--json"];
  const { samples, text } = await watch(["dist/cli/main.js", ...args]);
  const { files, peakBytes } = JSON.parse(text) as {
    files: Record<string, unknown>[];
    peakBytes: number;
  };
  const tenth = (i: number) =>
    samples.slice((i * samples.length) / 10, ((i + 1) * samples.length) / 10);
  console.log(
    JSON.stringify({
      ...{
        input: isPicture ? size : `${what} min, ${size}`,
        ...files[0],
        file: undefined,
        result: undefined,
      },
      comparison: undefined,
      seconds: Math.round((samples.length * everyMs) / 1000),
      peakMiB: Math.round(peakBytes / 2 ** 20),
      residentMiBByTenth: Array.from({ length: 10 }, (_, i) => Math.max(...tenth(i))),
    }),
  );
  if (!isPicture && second) writeFileSync(second, curveOf(samples));
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Runs node and reads its resident memory, MiB, four times a second. */
async function watch(args: readonly string[]): Promise<{ samples: number[]; text: string }> {
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
  const samples: number[] = [];
  const timer = setInterval(() => {
    const status = readFileSync(`/proc/${child.pid}/status`, "utf8");
    const kibibytes = /VmRSS:\s+(\d+)/.exec(status)?.[1];
    if (kibibytes) samples.push(Math.round(Number(kibibytes) / 1024));
  }, everyMs);
  let text = "";
  child.stdout.setEncoding("utf8").on("data", (part: string) => {
    text += part;
  });
  const code = await new Promise((done) => child.on("close", done));
  clearInterval(timer);
  if (code !== 0) throw new Error(`Expected the command to end well, received status ${code}.`);
  return { samples, text };
}

/** The most of every ten seconds over the time, as a picture. */
function curveOf(samples: readonly number[]): string {
  const perPoint = 10_000 / everyMs;
  const points = Array.from({ length: Math.ceil(samples.length / perPoint) }, (_, i) => ({
    minutes: i / 6,
    MiB: Math.max(...samples.slice(i * perPoint, (i + 1) * perPoint)),
  }));
  const { document } = parseHTML("<!doctype html><html><body></body></html>");
  const svg = Plot.plot({
    ...{ document, width: 640, height: 240, marginLeft: 52, marginBottom: 38 },
    style: { background: "#fff", color: "#1d1c1a", fontFamily: "sans-serif", fontSize: "11px" },
    x: { label: "minutes", tickSize: 0 },
    y: { label: "resident memory, MiB", domain: [0, 1600], ticks: 4, tickSize: 0, grid: true },
    marks: [Plot.line(points, { x: "minutes", y: "MiB", stroke: "#2f5d8a", strokeWidth: 1.75 })],
  });
  svg.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", "Resident memory over the time of a run");
  return `${svg.outerHTML}\n`;
}
