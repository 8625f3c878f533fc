// Load on a service of its own: 64 clients over the loopback, then offline batches of the same pictures in this process.
// Usage: npx tsx bench/serve.ts [MODEL=models/starter] [seconds=20] [clients=64] [size=64]. Bounded in time; nothing but the loopback is used.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { batchOf, bytesOf, pixelsOf } from "../src/data/batch.js";
import { createClip } from "../src/media/clip.js";
import { encodeImage, readImage } from "../src/media/image.js";
import { startService } from "../src/serve/server.js";
import { Tokenizer } from "../src/tokenizer/tokenizer.js";
import { scope } from "../src/torch/index.js";

const [target = "models/starter", seconds = "20", clients = "64", size = "64"] =
  process.argv.slice(2);
const folder = existsSync(join(target, "config.json")) ? target : join(target, "model");
const [side, batchSize] = [Number(size), 16];
const pictures = await Promise.all(
  Array.from({ length: 32 }, (_, seed) => {
    const bytes = Uint8Array.from({ length: side * side * 3 }, (_, i) => (i * (seed + 3)) >> 4);
    return encodeImage(createClip(bytes, { height: side, width: side }), "jpg");
  }),
);

/** Pictures a second through the service; every answer must be 200. */
async function served(): Promise<{
  rate: number;
  errors: number;
  peakMiB: number[];
  p95Ms: number;
}> {
  const service = await startService({
    models: [{ name: "model", folder }],
    ...{ device: "cpu", precision: "float32", port: 0, limits: { batchSize } },
  });
  const start = performance.now();
  const end = start + Number(seconds) * 1000;
  const times: number[] = [];
  let errors = 0;
  const peaks = [0, 0, 0, 0]; // of each quarter of the time: what leaks, rises
  const client = async (id: number) => {
    for (let i = id; performance.now() < end; i++) {
      const sent = performance.now();
      const response = await fetch(`${service.url}/v1/reconstruct?format=jpg`, {
        ...{ method: "POST", headers: { "content-type": "image/jpeg" } },
        body: new Uint8Array(pictures[i % pictures.length]!),
      });
      await response.arrayBuffer();
      if (response.status !== 200) errors++;
      times.push(performance.now() - sent);
      const quarter = Math.min(3, Math.floor((4 * (sent - start)) / (end - start)));
      peaks[quarter] = Math.max(peaks[quarter]!, process.memoryUsage.rss());
    }
  };
  await Promise.all(Array.from({ length: Number(clients) }, (_, id) => client(id)));
  const rate = (times.length * 1000) / (performance.now() - start);
  await service.close();
  times.sort((a, b) => a - b);
  const p95Ms = times[Math.floor(times.length * 0.95)] ?? Number.NaN;
  return { rate, errors, peakMiB: peaks.map((peak) => Math.round(peak / 2 ** 20)), p95Ms };
}

/** Pictures a second, files decoded, computed in batches and encoded, one step after the other. */
async function offline(): Promise<number> {
  const tokenizer = await Tokenizer.load(folder);
  const start = performance.now();
  let done = 0;
  while (performance.now() - start < Number(seconds) * 500) {
    const files = Array.from({ length: batchSize }, (_, i) => pictures[(done + i) % 32]!);
    const clips = await Promise.all(files.map((file) => readImage(file)));
    const { bytes, shape } = batchOf(clips);
    const recon = scope(() => bytesOf(tokenizer.reconstruct(pixelsOf({ bytes, shape }))));
    const length = recon.length / batchSize;
    await Promise.all(
      clips.map((clip, i) =>
        encodeImage({ ...clip, bytes: recon.subarray(i * length, (i + 1) * length) }, "jpg"),
      ),
    );
    done += batchSize;
  }
  tokenizer.dispose();
  return (done * 1000) / (performance.now() - start);
}

const before = await offline();
const { rate, errors, peakMiB, p95Ms } = await served();
const after = await offline();
const rest = (before + after) / 2; // the service between two offline runs: a busy machine favours neither
console.log(
  JSON.stringify(
    {
      ...{ clients: Number(clients), seconds: Number(seconds), errors },
      servedPerSecond: Number(rate.toFixed(1)),
      offlinePerSecond: [Number(before.toFixed(1)), Number(after.toFixed(1))],
      ratio: Number((rate / rest).toFixed(2)),
      ...{ p95Ms: Math.round(p95Ms), peakMiB },
    },
    null,
    2,
  ),
);
