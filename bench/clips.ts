// Clips a second that the loader gives beside those that a training step takes, in turn in one process: decoded from videos
// by ffmpeg, and packed by `vitok pack VIDEOS --fps 8 --size 80 --out PACKED`. A ratio above 1 means that the step need not wait.
// Usage: npx tsx bench/clips.ts VIDEOS (- for none) PACKED [VARIANT (Ti-Ti/4x8)] [SIZE (64)] [BATCH (4)] [DEVICE (auto)]
import { createCase, median, timeRuns } from "../src/cli/bench-cases.js";
import { Loader } from "../src/data/loader.js";
import { openSource } from "../src/data/source.js";
import { parseVariant } from "../src/tokenizer/config.js";
import { pickDevice } from "../src/torch/index.js";

const [videos, packed, variant = "Ti-Ti/4x8", side = "64", batch = "4", where] =
  process.argv.slice(2);
if (!videos || !packed) throw new Error("Usage: npx tsx bench/clips.ts VIDEOS PACKED");
const [size, batchSize] = [Number(side), Number(batch)];
const window = { frames: 16, fps: 8 };
const rounds = 3;
const batches = 8; // a round

const open = async (path: string) => {
  const source = await openSource(path, window);
  return new Loader(source, { size, batchSize, augment: true, cacheMiB: 0 });
};
/** The batches on their way at the start are taken first. */
async function rateOf(loader: Loader): Promise<number> {
  for (let i = 0; i < 3; i++) await loader.next();
  const startedMs = performance.now();
  for (let i = 0; i < batches; i++) await loader.next();
  return (1000 * batches * batchSize) / (performance.now() - startedMs);
}

const device = pickDevice(where);
const input = { frames: window.frames, height: size, width: size };
const step = createCase("train", parseVariant(variant), {
  ...{ input, batch: batchSize, device, precision: "bfloat16" },
});
const rates = { videos: [] as number[], packed: [] as number[], step: [] as number[] };
for (let round = 0; round < rounds; round++) {
  for (const [name, path] of Object.entries({ videos, packed })) {
    if (path === "-") continue;
    const loader = await open(path); // one at a time: neither reads ahead while another is timed
    rates[name as "videos" | "packed"].push(await rateOf(loader));
    loader.close();
  }
  const times = timeRuns(() => step.run(), { device, steps: batches, warmup: 1 });
  rates.step.push((1000 * batchSize) / median(times));
}
step.dispose();
const middle = (name: keyof typeof rates) => {
  const list = rates[name];
  return list.length ? Number(median(list).toPrecision(4)) : null;
};
const share = (name: "videos" | "packed") => {
  const rate = middle(name);
  return rate && Number((rate / middle("step")!).toFixed(2));
};
console.log(
  JSON.stringify({
    ...{ variant, size, batchSize, device },
    clipsPerSecond: { videos: middle("videos"), packed: middle("packed"), step: middle("step") },
    overStep: { videos: share("videos"), packed: share("packed") },
  }),
);
