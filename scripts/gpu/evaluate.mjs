// How fast a model is evaluated beside how fast it reconstructs, one JSON line a case, in interleaved rounds of one run.
// Frozen networks have random weights: their speed does not depend on them. No files are read: batches lie in memory.
// node evaluate.mjs [--device cuda:0] [--variant S-B/16] [--size 256] [--batch 64] [--batches 6] [--rounds 2] [--convolutions]
// [--settings float32,float32+tf32,bfloat16+tf32,bfloat16] [--metrics "psnr,ssim psnr,ssim,fid,is"]
// VITOK_PACKAGE is the package's folder, ./node_modules/vitok by default. A main thread that hangs is told of on stderr.
import { resolve } from "node:path";
import { parseArgs } from "node:util";

const root = resolve(process.env.VITOK_PACKAGE ?? "node_modules/vitok");
const load = (path) => import(`file://${root}/dist/${path}.js`);
const torch = await load("torch/index");
const { Tokenizer } = await load("tokenizer/tokenizer");
const { ReconstructionPass } = await load("evaluate/reconstruction-pass");
const { planOf } = await load("evaluate/plan");
const { Inception2015 } = await load("perceptual/inception-2015");
const { inceptionSteps } = await load("perceptual/inception-layers");
const { expectedLayers } = await load("perceptual/inception-weights");
const { Lpips } = await load("perceptual/lpips");
const { emptyCache, keep, liveTensors, memory, ones, rand, randn, resetPeakMemory, scope } = torch;

const text = (value) => ({ type: "string", default: value });
const { values } = parseArgs({
  options: {
    device: text("cuda:0"),
    variant: text("S-B/16"),
    size: text("256"),
    batch: text("64"),
    batches: text("6"),
    rounds: text("2"),
    settings: text(""), // of the model, and of the frozen networks; all by default
    metrics: text("psnr,ssim psnr,ssim,fid,is psnr,ssim,fid,is,stats"), // and lpips; stats: the originals' are at hand
    convolutions: { type: "boolean", default: false }, // Inception's convolutions one by one, too: convolutions.mjs
  },
});
const { device, variant } = values;
const [size, batchSize, batches, rounds] = ["size", "batch", "batches", "rounds"].map((name) =>
  Number(values[name]),
);
// Copied here without its neighbours, it does without the watch.
const { watch } = await import("./watch.mjs").catch(() => ({ watch: () => () => {} }));
const beat = watch(15);

/** He's bound, so that activations keep their size. */
const weight = (shape) => {
  const fanIn = shape.slice(1).reduce((product, length) => product * length, 1);
  return randn(shape).mul(Math.sqrt(2 / fanIn));
};

function inceptionWeights() {
  const layers = [...expectedLayers(inceptionSteps({ lastPool: "max" }))].filter(
    (layer) => typeof layer !== "string",
  );
  const folded = layers.flatMap(({ name, shape }) => [
    [`${name}.weight`, weight(shape)],
    [`${name}.bias`, randn([shape[0]]).mul(0.1)],
  ]);
  return { ...Object.fromEntries(folded), "fc.weight": weight([1008, 2048]) };
}

function vgg(tf32) {
  const widths = [64, 64, 128, 128, 256, 256, 256, 512, 512, 512, 512, 512, 512];
  const places = [0, 2, 5, 7, 10, 12, 14, 17, 19, 21, 24, 26, 28];
  const trunk = places.flatMap((place, i) => [
    [`features.${place}.weight`, weight([widths[i], widths[i - 1] ?? 3, 3, 3])],
    [`features.${place}.bias`, randn([widths[i]]).mul(0.1)],
  ]);
  const heads = [64, 128, 256, 512, 512].map((width, i) => [
    `lin${i}.model.1.weight`,
    ones([1, width, 1, 1]).div(width),
  ]);
  return new Lpips(Object.fromEntries(trunk), Object.fromEntries(heads), {
    trunk: "vgg",
    ...{ device, tf32 },
  });
}

const shape = [batchSize, 1, size, size, 3];
const bytes = scope(() => rand(shape).mul(255).to({ dtype: "uint8" }).toArray());
let seen = 0;
/** A batch of files that were not there before. */
function nextBatch() {
  const indices = Array.from({ length: batchSize }, () => seen++);
  const files = indices.map(String);
  return { bytes, shape, indices, files, labels: indices.map(() => -1), epoch: 0, position: 0 };
}

/** Milliseconds a batch. */
function time(run) {
  torch.synchronize(device);
  const started = performance.now();
  for (let i = 0; i < batches; i++) run();
  torch.synchronize(device);
  return (performance.now() - started) / batches;
}
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];

const cases = values.metrics.split(" ").map((names) => {
  const all = names.split(",");
  return { metrics: all.filter((name) => name !== "stats"), hasRealMoments: all.includes("stats") };
});
const isAsked = (name) => cases.some(({ metrics }) => metrics.includes(name));

function measure(precision, tf32) {
  const setting = `${precision}${tf32 ? "+tf32" : ""}`;
  beat(setting);
  torch.setFlag("tf32", tf32);
  const tokenizer = Tokenizer.create(variant, { device, dtype: precision, seed: 0 });
  const image = scope(() => new Inception2015(inceptionWeights(), { device, tf32 }));
  const lpips = isAsked("lpips") ? scope(() => vgg(tf32)) : { dispose() {} };
  beat(`${setting}: networks`);
  const networks = { image, video: undefined, lpips, dispose() {} };
  for (const { metrics, hasRealMoments } of cases) {
    const plan = planOf({ metrics, tf32 });
    seen = 0;
    // The Inception Score shuffles the places of a set of this size before the first picture.
    const facts = { count: 200_000, keep: undefined, hasRealMoments };
    const pass = new ReconstructionPass(tokenizer, { plan, networks }, facts);
    const work = {
      alone: () => scope(() => void pass.reconstruct(nextBatch())),
      evaluation: () => pass.update(nextBatch()),
    };
    for (const [name, run] of Object.entries(work))
      for (let i = 0; i < 2; i++) {
        beat(`${setting} ${metrics}: ${name}, warming up`);
        run();
        torch.synchronize(device);
      }
    resetPeakMemory(device);
    const live = liveTensors();
    const times = { alone: [], evaluation: [] };
    for (let round = 0; round < rounds; round++)
      for (const [name, run] of Object.entries(work)) {
        beat(`${setting} ${metrics}: ${name}`);
        times[name].push(time(run));
      }
    if (liveTensors() !== live) throw new Error("Expected no tensor left behind, found some.");
    const [alone, evaluation] = [median(times.alone), median(times.evaluation)];
    const rate = (ms) => +((batchSize / ms) * 1e3).toFixed(1);
    const line = {
      ...{ variant, size, batch: batchSize, device, precision, tf32 },
      ...{ metrics: metrics.join(","), realStats: hasRealMoments },
      ...{ reconstruct_img_s: rate(alone), evaluate_img_s: rate(evaluation) },
      ratio: +(alone / evaluation).toFixed(3),
      peak_mib: Math.round(memory(device).peakBytes / 2 ** 20),
      parts_ms: partsOf(pass),
    };
    console.log(JSON.stringify(line));
    pass.dispose();
  }
  for (const each of [tokenizer, image, lpips]) each.dispose();
  if (device !== "cpu") emptyCache(device);
}

/** Where an evaluation's time goes, by running its parts apart. */
function partsOf(pass) {
  const batch = nextBatch();
  const made = keep(scope(() => pass.reconstruct(batch)));
  const { original, recon, pixels } = made;
  const parts = {
    pairs: () => pass.scoreboard.update(batch, original, recon),
    artefacts: () => pass.artefacts.update(original, recon, pixels),
    real: () => pass.real.update(original, nextBatch().indices),
    fake: () => pass.fake.update(recon, nextBatch().indices),
  };
  const times = Object.entries(parts).map(([name, run]) => [name, +time(run).toFixed(3)]);
  for (const tensor of Object.values(made)) tensor.dispose();
  return Object.fromEntries(times);
}

const all =
  device === "cpu" ? ["float32"] : ["float32", "float32+tf32", "bfloat16+tf32", "bfloat16"];
const asked = values.settings === "none" ? [] : values.settings ? values.settings.split(",") : all;
if (values.convolutions) {
  beat("convolutions");
  const { measureConvolutions } = await import("./convolutions.mjs");
  const steps = inceptionSteps({ lastPool: "max" });
  measureConvolutions(torch, { steps, device, batch: batchSize, rounds: batches, beat });
}
for (const setting of asked) {
  const [precision, tf32] = setting.split("+");
  measure(precision, tf32 === "tf32");
}
