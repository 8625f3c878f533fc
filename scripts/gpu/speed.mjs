// Ours at the shapes of the PyTorch opponent's GPU cases: `speed.mjs CASE [WAY]`, one process a case, one JSON line each;
// without a case, their names. Runs beside node_modules/ of the installed package. TINY=1: small cases on the CPU, to try it
// (with VITOK_DIST, the address of a repository's dist/).
import { kernelTimes } from "./kernel-times.mjs";

const root = process.env.VITOK_DIST ?? new URL("./node_modules/vitok/dist/", import.meta.url).href;
const dist = (path) => import(`${root}${path}.js`);
const { createCase, median, timeRuns } = await dist("cli/bench-cases");
const { measurePeakFlops } = await dist("train/peak");
const { parseVariant } = await dist("tokenizer/config");
const torch = await dist("torch/index");
const { setFlag, memory, resetPeakMemory, synchronize, scope, randn, noGrad } = torch;

const isTiny = Boolean(process.env.TINY);
const device = isTiny ? "cpu" : "cuda:0";
const square = { frames: 1, height: 256, width: 256 };
const cases = {
  "train-lpips": { name: "train-lpips", batch: 64 },
  train: { name: "train", batch: 128 },
  encode: { name: "encode", batch: 256 },
  decode: { name: "decode", batch: 256 },
  roundtrip: { name: "roundtrip", batch: 256 },
  "encode-float8": { name: "encode", batch: 256, precision: "float8" },
  "decode-float8": { name: "decode", batch: 256, precision: "float8" },
  "roundtrip-float8": { name: "roundtrip", batch: 256, precision: "float8" },
  clips: {
    name: "train",
    batch: 16,
    variant: "S-B/4x8",
    input: { frames: 16, height: 128, width: 128 },
  },
  p8: { name: "train", batch: 32, variant: "S-B/8" },
  large: { name: "train", batch: 32, variant: "S-L/16" },
};

/** What this run tries, other than what users get. */
const { SELF_ATTENTION } = process.env;
const trial = SELF_ATTENTION ? { SELF_ATTENTION } : {};
const usual = { variant: "S-B/16", input: square, precision: "bfloat16" };

/** The same shapes in small. */
function tiny(title) {
  if (!isTiny) return {};
  const { variant = "S-B/16", input = square } = cases[title];
  const sides = input.frames > 1 ? { height: 16, width: 16 } : { height: 64, width: 64 };
  const small = variant.replace(/^S-[BL]/, "Tiw48d1h2-Tiw48d2h2");
  return { batch: 2, variant: small, input: { ...input, ...sides } };
}

function bench(title, way) {
  const { name, batch, variant, input, precision } = { ...usual, ...cases[title], ...tiny(title) };
  const peak = measurePeakFlops(device, "bfloat16");
  resetPeakMemory(device);
  const made = createCase(name, parseVariant(variant), {
    input,
    batch,
    device,
    precision,
    way,
  });
  if (made.loss) requireLearning(made);
  for (let i = 0; i < 4; i++) made.run();
  synchronize(device);
  const cpu = process.cpuUsage();
  const submitted = performance.now();
  for (let i = 0; i < 5; i++) made.run();
  const submitMs = (performance.now() - submitted) / 5;
  synchronize(device);
  const used = process.cpuUsage(cpu);
  const times = timeRuns(made.run, { device, steps: 20, warmup: 0 });
  const ms = median(times);
  const line = {
    ...{
      case: title,
      variant,
      batch,
      way,
      ms: +ms.toFixed(3),
      min: +Math.min(...times).toFixed(3),
      max: +Math.max(...times).toFixed(3),
    },
    imgPerSecond: +((batch / ms) * 1e3).toFixed(1),
    tflops: +(made.flops / ms / 1e9).toFixed(1),
    mfu: +(((made.flops / ms) * 1e3) / peak).toFixed(3),
    peakTflops: +(peak / 1e12).toFixed(1),
    peakMib: Math.round(memory(device).peakBytes / 2 ** 20),
    submitMs: +submitMs.toFixed(3),
    cpuMs: +((used.user + used.system) / 5e3).toFixed(2),
    ...trial,
  };
  console.log(JSON.stringify(line));
  if (process.env.PROFILE)
    console.log(JSON.stringify({ case: title, way, ...kernelTimes(torch, made.run, device) }));
  made.dispose();
}

/** A step that learns nothing is fast: every parameter has a finite gradient, and the loss falls. */
function requireLearning(made) {
  made.run(); // a graph that was only recorded has no gradients yet
  synchronize(device);
  const idle = made.idleParameters();
  if (idle.length) throw new Error(`no finite gradient for ${idle.length}: ${idle.slice(0, 5)}`);
  const losses = Array.from({ length: 30 }, () => made.loss());
  const [first, last] = [losses[0], losses.at(-1)];
  if (!(last < 0.98 * first)) throw new Error(`the loss does not fall: ${first} to ${last}`);
}

/** Attention alone, forward and backward, by the kinds of kernel libtorch has. */
function attention() {
  for (const [batch, tokens, heads, headDim] of [
    [128, 256, 12, 64],
    [16, 1024, 12, 64],
    [4, 4096, 12, 64],
    [32, 256, 16, 72],
  ])
    for (const kind of ["cudnnAttention", "flashAttention", "efficientAttention"]) {
      for (const other of ["cudnnAttention", "flashAttention", "efficientAttention"])
        setFlag(other, other === kind);
      try {
        scope(() => {
          const make = () =>
            randn([batch, tokens, heads, headDim], { device }).to({ dtype: "bfloat16" }).detach();
          const leaves = [make(), make(), make()].map((t) => t.requiresGrad_());
          const grad = make().transpose(1, 2);
          const views = () => leaves.map((t) => t.transpose(1, 2));
          const time = (fn) => {
            const graph = torch.Graph.capture(
              () => {
                for (let i = 0; i < 5; i++) scope(fn);
              },
              { device, warmups: 2 },
            );
            const times = timeRuns(() => graph.replay(), { device, steps: 10, warmup: 2 });
            graph.dispose();
            return +(median(times) / 5).toFixed(4);
          };
          const forward = time(
            () => void noGrad(() => torch.scaledDotProductAttention(...views())),
          );
          const both = time(
            () =>
              void torch.grad([torch.scaledDotProductAttention(...views())], leaves, {
                gradOutputs: [grad],
              }),
          );
          console.log(
            JSON.stringify({ attention: kind, batch, tokens, heads, headDim, forward, both }),
          );
        });
      } catch (error) {
        console.log(
          JSON.stringify({ attention: kind, tokens, headDim, error: String(error).slice(0, 300) }),
        );
      }
    }
}

/** 500 steps on the same batches and noise, plain against fused and recorded: the loss every 10 steps. */
function curves(way) {
  const made = createCase("train", parseVariant("Ti-Ti/8"), {
    input: { frames: 1, height: 64, width: 64 },
    batch: 32,
    device,
    precision: "bfloat16",
    way,
  });
  const losses = [];
  for (let i = 0; i < 500; i++) {
    if (i % 10 === 0 || i === 499) losses.push(+made.loss().toFixed(5));
    else made.run();
  }
  console.log(JSON.stringify({ curve: way, losses }));
}

const [, , title, way = isTiny ? "plain" : "graph"] = process.argv;
// SELF_ATTENTION=256: our attention kernel in place of libtorch's, up to so many tokens; 0: libtorch's
if (process.env.SELF_ATTENTION)
  (await dist("nn/fused/self-attention")).setSelfAttention(Number(process.env.SELF_ATTENTION));
setFlag("tf32", true);
setFlag("cudnnBenchmark", true);
try {
  if (!title) console.log([...Object.keys(cases), "attention", "curves"].join("\n"));
  else if (title === "attention") attention();
  else if (title === "curves") curves(way);
  else bench(title, way);
} catch (error) {
  console.log(
    JSON.stringify({ case: title, way, error: String(error?.stack ?? error).slice(0, 1500) }),
  );
  process.exitCode = 1;
}
