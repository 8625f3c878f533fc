// How a training step grows: sizes, tokens, patch sides, clips, batches, with and without checkpointing; one JSON line a case,
// all in one process, about two minutes on an H100. Table and figure: `npx tsx bench/scaling.ts LINES`. The last lines are
// the largest batch that fits, foretold from two smaller ones and then tried. DEVICE=cpu tries it at a tiny size.
const root = process.env.VITOK_DIST ?? new URL("./node_modules/vitok/dist/", import.meta.url).href;
const dist = (path) => import(`${root}${path}.js`);
const { createCase, median, timeRuns } = await dist("cli/bench-cases");
const { selfAttention } = await dist("nn/fused/self-attention");
const { RopeTables } = await dist("nn/rope");
const { parseVariant, gridOf } = await dist("tokenizer/config");
const { costOf } = await dist("tokenizer/cost");
const { measurePeakFlops } = await dist("train/peak");
const torch = await dist("torch/index");
const { emptyCache, Graph, grad, memory, randn, resetPeakMemory, scope, setFlag } = torch;

const isTiny = process.env.DEVICE === "cpu";
const device = isTiny ? "cpu" : "cuda:0";
if (!isTiny) for (const flag of ["tf32", "cudnnBenchmark"]) setFlag(flag, true);
const peak = measurePeakFlops(device, "bfloat16") ?? Number.NaN;

const square = (side) => ({ frames: 1, height: side, width: side });
const clip = { frames: 16, height: 128, width: 128 };
const image = (axis, variant, batch, side = 256, more = {}) => ({
  ...{ axis, variant, batch, input: square(side) },
  ...more,
});
const full = [
  ...["S-S/16", "S-B/16", "B-B/16", "S-L/16"].map((name) => image("size", name, 64)),
  image("tokens", "S-B/16", 128),
  image("tokens", "S-B/16", 57, 384),
  image("tokens", "S-B/16", 32, 512),
  image("tokens", "S-B/16", 14, 768),
  image("tokens", "S-B/16", 8, 1024),
  ...[8, 16, 32, 64, 256].map((batch) => image("batch", "S-B/16", batch)),
  image("patch", "S-B/8", 32),
  image("patch", "S-B/32", 128),
  { axis: "clips", variant: "S-B/4x8", batch: 32, input: clip },
  { axis: "clips", variant: "S-B/4x16", batch: 32, input: { ...clip, height: 256, width: 256 } },
  image("checkpointing", "S-B/16", 128, 256, { checkpointing: true }),
  image("checkpointing", "S-L/16", 64, 256, { checkpointing: true }),
  image("checkpointing", "S-B/16", 8, 1024, { checkpointing: true }),
];
const tiny = [
  image("size", "Tiw48d1h2-Tiw48d1h2/8", 2, 32),
  image("tokens", "Tiw48d1h2-Tiw48d1h2/8", 2, 64),
  image("checkpointing", "Tiw48d1h2-Tiw48d1h2/8", 2, 32, { checkpointing: true }),
];

const say = (line) => console.log(JSON.stringify(line));
const mebibytes = () => Math.round(memory(device).peakBytes / 2 ** 20);

/** Milliseconds of a step, and what it holds at most. */
function measure({ variant, batch, input, checkpointing = false }) {
  emptyCache(device);
  resetPeakMemory(device);
  const precision = "bfloat16";
  const config = parseVariant(variant);
  const options = { input, batch, device, precision, checkpointing };
  const made = createCase("train", config, options);
  try {
    const times = timeRuns(made.run, { device, steps: isTiny ? 2 : 10, warmup: 2 });
    return { ms: median(times), peakMib: mebibytes(), flops: made.flops };
  } finally {
    made.dispose();
  }
}

/** Milliseconds that the attention of all blocks takes in a step, forward and backward; products and projections aside. */
function attentionMs({ variant, batch, input, checkpointing = false }) {
  const config = parseVariant(variant);
  const { t, h, w } = gridOf(config, input);
  const towers = [config.encoder, config.decoder];
  return towers.reduce((sum, { width, depth, heads }) => {
    const ms = scope(() => {
      const rope = new RopeTables(width / heads).at({ t, h, w }, 0, device);
      const bias = randn([3 * width], { device });
      const make = (columns) =>
        randn([batch, t * h * w, columns], { device }).to({ dtype: "bfloat16" });
      const all = make(3 * width)
        .detach()
        .requiresGrad_();
      const gradOut = make(width);
      const linear = { product: () => all, forward: () => all, bias };
      const run = () =>
        scope(() => {
          const out = selfAttention(all, linear, rope, heads);
          grad([out], [all], { gradOutputs: [gradOut] });
        });
      if (isTiny) return median(timeRuns(run, { device, steps: 1, warmup: 2 }));
      const graph = Graph.capture(run, { device }); // as the step is: launched one by one it would wait for the CPU
      const times = timeRuns(() => graph.replay(), { device, steps: 6, warmup: 2 });
      graph.dispose();
      return median(times);
    });
    return sum + ms * depth * (checkpointing ? 4 / 3 : 1);
  }, 0);
}

function run(item) {
  const { axis, variant, batch, input, checkpointing = false } = item;
  const { tokens, macs, params } = costOf(parseVariant(variant), input);
  const about = { axis, variant, batch, tokens, checkpointing, size: input };
  try {
    const { ms, peakMib, flops } = measure(item);
    const attention = attentionMs(item);
    say({
      ...about,
      ...{ parameters: params.total, gmacs: +(macs.total / 1e9).toFixed(1), ms: +ms.toFixed(2) },
      samplesPerSecond: +((batch / ms) * 1e3).toFixed(1),
      tokensPerSecond: Math.round(((batch * tokens) / ms) * 1e3),
      mfu: +(((flops / ms) * 1e3) / peak).toFixed(3),
      attentionShare: +(attention / ms).toFixed(3),
      peakMib,
    });
  } catch (error) {
    say({ ...about, error: String(error.message ?? error).slice(0, 200) });
  }
}

/** The largest batch: memory grows by the sample, so two batches tell it; then it is tried. */
function largest(variant, [small, large], checkpointing) {
  const item = (batch) => ({ ...image("largest", variant, batch), checkpointing });
  const [a, b] = [small, large].map((batch) => measure(item(batch)).peakMib);
  const each = (b - a) / (large - small);
  emptyCache(device);
  const free = memory(device).availableBytes / 2 ** 20;
  const batch = Math.floor(((free - (a - each * small)) / each) * 0.97);
  say({
    largest: variant,
    checkpointing,
    mibPerSample: +each.toFixed(1),
    freeMib: Math.round(free),
    batch,
  });
  run(item(batch));
}

for (const item of isTiny ? tiny : full) run(item);
if (!isTiny)
  for (const [variant, batches] of [
    ["S-B/16", [32, 96]],
    ["S-L/16", [16, 48]],
  ])
    for (const checkpointing of [false, true]) {
      try {
        largest(variant, batches, checkpointing);
      } catch (error) {
        say({ largest: variant, checkpointing, error: String(error.message).slice(0, 200) });
      }
    }
