// The optimizer in one launch against AdamW and clipping of libtorch's; graphs and their noise.
import { bandwidth, device, dist, isEmulated, relative, verdict } from "./harness.mjs";

const { AdamW } = await dist("nn/adamw");
const { clipGradNorm } = await dist("nn/clip");
const { updateEma } = await dist("nn/ema");
const { FusedAdamW } = await dist("nn/fused-adamw");
const { parameters } = await dist("nn/parameters");
const { working: workingOf } = await dist("nn/working");
const { Tokenizer } = await dist("tokenizer/tokenizer");
const torch = await dist("torch/index");
const { Graph, randn, scope, zeros } = torch;

export function adamw() {
  for (const dtype of ["bfloat16", "float32"])
    scope(() => {
      const shapes = [[70, 130], [33], [1, 7, 3], [8192 * 2 + 5], [512, 512]];
      const start = shapes.map((shape) => randn(shape, { device }));
      const make = () => start.map((t, i) => [`p${i}`, torch.keep(t.clone()).requiresGrad_()]);
      const [plain, fused] = [make(), make()];
      const twin = new AdamW(plain, { weightDecay: 0.1 });
      const followers = () => start.map((t) => torch.keep(t.clone()));
      const [plainAverages, averages] = [followers(), followers()];
      const ours = new FusedAdamW(fused, {
        ...{ weightDecay: 0.1, dtype },
        averages: Object.fromEntries(averages.map((t, i) => [`p${i}`, t])),
      });
      const update = (lr) => {
        const norm = ours.clip(1);
        ours.setRate(lr, 0.9);
        ours.update();
        return norm;
      };
      const norms = {};
      for (let step = 0; step < 4; step++) {
        const grads = shapes.map((shape) =>
          randn(shape, { device })
            .mul(step === 2 ? 1e-3 : 1)
            .to({ dtype }),
        );
        plain.forEach(([, p], i) => {
          p.grad = i === 2 && step === 1 ? null : grads[i].to({ dtype: "float32" }).clone();
        });
        fused.forEach(([, p], i) => {
          const copy = workingOf(p);
          copy.grad = null;
          p.grad = null;
          if (i === 2 && step === 1) return;
          if (i === 1) p.grad = grads[i].to({ dtype: "float32" }).clone();
          else copy.grad = grads[i].clone();
        });
        const norm = clipGradNorm(
          plain.map(([, p]) => p),
          1,
        );
        twin.step(1e-2 / (step + 1));
        norms[`norm${step}`] = relative(update(1e-2 / (step + 1)), norm.reshape([1]));
        updateEma(
          plainAverages,
          plain.map(([, p]) => p),
          0.9,
        );
      }
      const errors = { ...norms };
      plain.forEach(([name, p], i) => {
        errors[name] = relative(fused[i][1], p);
        errors[`average ${name}`] = relative(averages[i], plainAverages[i]);
        errors[`copy ${name}`] =
          relative(workingOf(fused[i][1]), p) / (dtype === "float32" ? 1 : 100);
      });
      for (const kind of ["exp_avg", "exp_avg_sq"])
        plain.forEach(([name]) => {
          errors[`${kind}.${name}`] = relative(
            ours.stateDict()[`${kind}.${name}`],
            twin.stateDict()[`${kind}.${name}`],
          );
        });
      // p2 misses an update: its own step count differs from the shared one, in the twin only
      for (const key of Object.keys(errors).filter((key) => /p2/.test(key) && !/exp_avg/.test(key)))
        delete errors[key];
      verdict(`adamw, 4 steps, ${dtype}`, errors, 1e-4);
      const before = fused.map(([, p]) => p.clone());
      workingOf(fused[0][1]).grad = zeros(shapes[0], { device, dtype }).add(Number.NaN);
      update(1);
      verdict(
        `adamw leaves the weights alone where a gradient is no number, ${dtype}`,
        Object.fromEntries(fused.map(([name, p], i) => [name, relative(p, before[i])])),
        0,
      );
    });
  if (isEmulated) return;
  scope(() => {
    const tokenizer = Tokenizer.create("S-B/16", { device });
    const optimizer = new FusedAdamW(parameters(tokenizer), {});
    for (const [, p] of parameters(tokenizer))
      workingOf(p).grad = randn(p.shape, { device }).to({ dtype: "bfloat16" });
    const count = [...parameters(tokenizer)].reduce((sum, [, p]) => sum + p.numel, 0);
    optimizer.setRate(1e-4);
    const work = () => {
      optimizer.clip(1);
      optimizer.update();
    };
    bandwidth("adamw with norm, 129 M", 30 * count, work, { repeats: 5 });
  });
}

export function graph() {
  const graph = Graph.capture(() => randn([1000], { device }), { device });
  const draws = [1, 2, 3].map(() => {
    graph.replay();
    return Array.from(graph.result.toArray());
  });
  verdict(
    "a graph draws new noise in each replay",
    { same: draws[0].filter((x, i) => x === draws[1][i] || x === draws[2][i]).length },
    20,
  );
  const sum = draws[0].reduce((a, b) => a + b, 0) / 1000;
  verdict("noise of mean 0", { mean: Math.abs(sum) }, 0.15);
  let refused = false;
  try {
    Graph.capture(() => randn([3], { device }).sum().item(), { device });
  } catch {
    refused = true;
  }
  verdict(
    "a function that waits for the GPU cannot be recorded",
    { accepted: Number(!refused) },
    0,
  );
  verdict("and the GPU goes on", { sum: Math.abs(zeros([3], { device }).sum().item()) }, 0);
}
