// Ours at the shapes of bench/dit_anchor.py, one JSON line a case: training steps and 50 guided DDIM steps of DiT-L and DiT-XL.
// Usage: dit-bench.mjs [CASE...], beside node_modules/ of the installed package. DEVICE=cpu tries it at a tiny size; PROFILE=1 adds
// where the time goes (kernel-times.mjs).
const root = process.env.VITOK_DIST ?? new URL("./node_modules/vitok/dist/", import.meta.url).href;
const dist = (path) => import(`${root}${path}.js`);
const torch = await dist("torch/index");
const { autocast, call, emptyCache, Graph, keep, memory, noGrad, randn } = torch;
const { resetPeakMemory, scope, setFlag, synchronize, Tensor } = torch;
const { defineGenerator } = await dist("generator/config");
const { levelAt } = await dist("generator/schedule");
const { indices, LatentGenerator } = await dist("generator/latent-generator");
const { mse } = await dist("losses/pixel");
const { AdamW } = await dist("nn/adamw");
const { clipGradNorm } = await dist("nn/clip");
const { updateEma } = await dist("nn/ema");
const { FusedAdamW } = await dist("nn/fused-adamw");
const { setFused } = await dist("nn/fused/choose");
const { moveTo, parameters } = await dist("nn/parameters");

const device = process.env.DEVICE ?? "cuda:0";
const isGpu = device.startsWith("cuda");
if (isGpu) for (const flag of ["tf32", "cudnnBenchmark"]) setFlag(flag, true);

const cases = isGpu
  ? [
      { name: "train-L", variant: "DiT-L", batch: 64 },
      { name: "train-XL", variant: "DiT-XL", batch: 64 },
      { name: "sample-L", variant: "DiT-L", batch: 64, steps: 50 },
      { name: "sample-XL", variant: "DiT-XL", batch: 64, steps: 50 },
    ]
  : [
      { name: "train-tiny", variant: "DiT-Sw48d2h4", batch: 4, side: 4 },
      { name: "sample-tiny", variant: "DiT-Sw48d2h4", batch: 2, side: 4, steps: 4 },
    ];

/** Every weight random, gates and modulations, too: a GPU multiplies zeros faster. */
function createGenerator({ variant, side = 16 }) {
  const config = defineGenerator({ variant, channels: 16, classes: 1000 });
  const facts = {
    ...{ latentMean: Array(16).fill(0), latentStd: Array(16).fill(1), classNames: [] },
    ...{ grid: { t: 1, h: side, w: side }, size: { frames: 1, height: side, width: side } },
    ...{ tokenizerHash: "", weights: "raw" },
  };
  const generator = new LatentGenerator(config, facts);
  moveTo(generator.dit, { device });
  noGrad(() => {
    for (const [, tensor] of parameters(generator.dit)) call("normal_", tensor, 0, 0.02);
  });
  return generator;
}

/** plain: libtorch's operators; graph: kernels, working copies, average and update in one, recorded. WAY chooses; default graph. */
const way = process.env.WAY ?? (isGpu ? "graph" : "plain");
setFused(way !== "plain");

function trainCase({ batch, side = 16, ...rest }) {
  const generator = createGenerator({ ...rest, side });
  const { dit } = generator;
  const averages = Object.fromEntries(
    [...parameters(dit)].map(([name, tensor]) => [name, keep(tensor.detach().clone())]),
  );
  const optimizer = createOptimizer(dit, averages);
  const shape = [batch, side * side, 16];
  const [x, noise] = [randn(shape, { device }), randn(shape, { device })];
  const places = Array.from({ length: batch }, (_, i) => (i * 37) % 1000);
  const labels = indices(places, device);
  const timesteps = Tensor.from(places, [batch], { device });
  const levels = places.map((place) => levelAt("noise", place));
  const [signal, sigma] = ["signal", "sigma"].map((key) =>
    Tensor.from(
      levels.map((level) => level[key]),
      [batch, 1, 1],
      { device },
    ),
  );
  const step = () => {
    optimizer.zeroGrad();
    const noised = x.mul(signal).add(noise.mul(sigma));
    const predicted = autocast({ device, dtype: "bfloat16" }, () =>
      dit.forward(noised, timesteps, labels, { grid: generator.facts.grid }),
    );
    mse(predicted, noise).backward();
    optimizer.update();
  };
  const graph = way === "graph" && Graph.capture(step, { device });
  const dispose = () => {
    if (graph) graph.dispose();
    optimizer.zeroGrad();
    optimizer.dispose();
    generator.dispose();
    for (const tensor of Object.values(averages)) tensor.dispose();
  };
  return { run: () => (graph ? graph.replay() : scope(step)), dispose };
}

function createOptimizer(dit, averages) {
  const options = { betas: [0.9, 0.999], weightDecay: 0 };
  if (way !== "plain") {
    const adamw = new FusedAdamW(parameters(dit), { ...options, averages });
    adamw.setRate(1e-4, 0.9999);
    const update = () => {
      adamw.clip(1);
      adamw.update();
    };
    return { zeroGrad: () => adamw.zeroGrad(), update, dispose: () => adamw.dispose() };
  }
  const adamw = new AdamW(parameters(dit), options);
  const weights = [...parameters(dit)].map(([, tensor]) => tensor);
  const update = () => {
    clipGradNorm(weights, 1);
    adamw.step(1e-4);
    updateEma(Object.values(averages), weights, 0.9999);
  };
  return { zeroGrad: () => adamw.zeroGrad(), update, dispose: () => adamw.dispose() };
}

function sampleCase({ batch, side = 16, steps, ...rest }) {
  const generator = createGenerator({ ...rest, side });
  if (isGpu) moveTo(generator.dit, { dtype: "bfloat16" });
  const noise = randn([batch, side * side, 16], { device });
  const labels = Array.from({ length: batch }, (_, i) => (i * 37) % 1000);
  const run = () =>
    scope(() => void generator.sample(noise, { labels, steps, guidance: { scale: 1.5 } }));
  return { run, dispose: () => generator.dispose() };
}

async function measure({ name, ...options }) {
  const { batch, steps } = options;
  if (isGpu) resetPeakMemory(device);
  const { run, dispose } = steps ? sampleCase(options) : trainCase(options);
  const [count, warmup] = isGpu ? (steps ? [3, 1] : [20, 4]) : [2, 1];
  const times = [];
  for (let i = 0; i < warmup + count; i++) {
    synchronize(device);
    const started = performance.now();
    run();
    synchronize(device);
    if (i >= warmup) times.push(performance.now() - started);
  }
  const ms = times.sort((a, b) => a - b)[count >> 1];
  const line = {
    ...{ name, way, batch, ms: +ms.toFixed(2), img_s: +((batch / ms) * 1e3).toFixed(3) },
    ...{ min: +times[0].toFixed(2), max: +times.at(-1).toFixed(2) },
    peak_mib: Math.round(memory(device).peakBytes / 2 ** 20),
  };
  console.log(JSON.stringify(line));
  if (process.env.PROFILE) {
    const { kernelTimes } = await import("./kernel-times.mjs");
    console.log(JSON.stringify({ name, way, ...kernelTimes(torch, run, device) }));
  }
  dispose();
  if (isGpu) emptyCache(device);
}

const asked = process.argv.slice(2);
const unknown = asked.filter((name) => !cases.some((item) => item.name === name));
if (unknown.length)
  throw new Error(
    `Expected cases of ${cases.map(({ name }) => name).join(", ")}, received ${unknown.join(", ")}.`,
  );
for (const item of cases) if (!asked.length || asked.includes(item.name)) await measure(item);
