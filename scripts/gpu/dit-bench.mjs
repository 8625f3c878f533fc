// Ours at the shapes of bench/dit_anchor.py, one JSON line a case: training steps and 50 guided DDIM steps of DiT-L and DiT-XL.
// Runs inside the unpacked package's folder; DEVICE=cpu tries it at a tiny size.
const {
  AdamW,
  LatentGenerator,
  addNoise,
  autocast,
  clipGradNorm,
  defineGenerator,
  indices,
  memory,
  moveTo,
} = await import("vitok");
const { parameters, randn, resetPeakMemory, scope, setFlag, synchronize, updateEma, zerosLike } =
  await import("vitok");

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

function createGenerator({ variant, side = 16 }) {
  const config = defineGenerator({ variant, channels: 16, classes: 1000 });
  const facts = {
    ...{ latentMean: Array(16).fill(0), latentStd: Array(16).fill(1), classNames: [] },
    ...{ grid: { t: 1, h: side, w: side }, size: { frames: 1, height: side, width: side } },
    ...{ tokenizerHash: "", weights: "raw" },
  };
  return LatentGenerator.create(config, facts, { device });
}

function trainCase({ batch, side = 16, ...rest }) {
  const generator = createGenerator({ ...rest, side });
  const { dit } = generator;
  const weights = [...parameters(dit)].map(([, tensor]) => tensor);
  const averages = weights.map((tensor) => zerosLike(tensor.detach()));
  const optimizer = new AdamW(parameters(dit), { betas: [0.9, 0.999], weightDecay: 0 });
  const shape = [batch, side * side, 16];
  const [x, noise] = [randn(shape, { device }), randn(shape, { device })];
  const timesteps = Array.from({ length: batch }, (_, i) => (i * 37) % 1000);
  const labels = indices(timesteps, device);
  const sample = addNoise("noise", x, { noise, timesteps });
  const run = () =>
    scope(() => {
      optimizer.zeroGrad();
      const predicted = autocast({ device, dtype: "bfloat16" }, () =>
        dit.forward(sample.noised, sample.timesteps, labels, { grid: generator.facts.grid }),
      );
      predicted.sub(noise).square().mean().backward();
      clipGradNorm(weights, 1);
      optimizer.step(1e-4);
      updateEma(averages, weights, 0.9999);
    });
  const dispose = () => {
    optimizer.zeroGrad();
    optimizer.dispose();
    generator.dispose();
  };
  return { run, dispose };
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

for (const { name, ...options } of cases) {
  if (isGpu) resetPeakMemory(device);
  const { run, dispose } = options.steps ? sampleCase(options) : trainCase(options);
  const [count, warmup] = isGpu ? (options.steps ? [5, 2] : [10, 4]) : [2, 1];
  const times = [];
  for (let i = 0; i < warmup + count; i++) {
    synchronize(device);
    const started = performance.now();
    run();
    synchronize(device);
    if (i >= warmup) times.push(performance.now() - started);
  }
  const ms = times.sort((a, b) => a - b)[count >> 1];
  const { batch } = options;
  const peak = Math.round(memory(device).peakBytes / 2 ** 20);
  console.log(
    JSON.stringify({
      name,
      batch,
      ms: +ms.toFixed(2),
      img_s: +((batch / ms) * 1e3).toFixed(3),
      peak_mib: peak,
    }),
  );
  dispose();
}
