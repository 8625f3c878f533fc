// What the kernels' checks share: the installed package's modules, comparison with a twin, bandwidth. Not a check itself.
// Reference: the twin in float32 (no TF32) on the same numbers. Limits, relative L2: 1e-4 for float32; for bfloat16 1e-2,
// which is what rounding of in- and outputs leaves. Inputs are new in each run.
// On the GPU machine beside node_modules/ of the installed package; test/kernels.test.ts names the repository's own dist/.
const root = process.env.VITOK_DIST ?? new URL("../node_modules/vitok/dist/", import.meta.url).href;
export const dist = (path) => import(`${root}${path}.js`);
const { Graph, noGrad, randn, scope, synchronize } = await dist("torch/index");
const { setFused } = await dist("nn/fused/choose");
const { Linear } = await dist("nn/linear");
const { moveTo, parameters } = await dist("nn/parameters");

/** "cpu": the emulation of test/emulator/, for small shapes and without a measure of speed. */
export const device = process.env.VITOK_DEVICE ?? "cuda:0";
export const isEmulated = device === "cpu";
let failed = 0;

/** How many checks failed so far. */
export const failures = () => failed;
export const say = (line) => console.log(JSON.stringify(line));

export function relative(actual, expected) {
  return scope(() => {
    const [x, y] = [actual, expected].map((t) => t.detach().to({ dtype: "float64" }));
    const error = x.sub(y).square().sum().sqrt().item();
    return error / Math.max(y.square().sum().sqrt().item(), 1e-30);
  });
}

export function verdict(name, errors, limit) {
  const wrong = Object.entries(errors).filter(([, error]) => !(error <= limit));
  if (wrong.length) failed++;
  say({ check: name, ok: !wrong.length, limit, errors });
}

/** A layer with random numbers, its vectors float32, its matrices of a dtype. */
export function random(layer, dtype) {
  moveTo(layer, { device });
  noGrad(() => {
    for (const [, t] of parameters(layer))
      t.copy_(
        randn(t.shape, { device })
          .mul(t.ndim > 1 ? t.shape.at(-1) ** -0.5 : 0.5)
          .to({ dtype }),
      );
  });
  return layer;
}

/** A copy of a linear layer, its matrix in a dtype; what the bias learns goes to the original's. */
export function inDtype(linear, dtype) {
  const copy = new Linear(1, 1);
  const weight = noGrad(() => linear.weight.to({ dtype }).detach().clone()).requiresGrad_();
  return Object.assign(copy, { weight, bias: linear.bias });
}

/**
 * Runs `fn(dtype)`, which returns { inputs, outputs }, twice: the kernel in `dtype`, the twin in float32; compares outputs
 * and the gradients of random weights on them.
 */
export function compare(name, dtype, make, limit = dtype === "float32" ? 1e-4 : 1e-2) {
  scope(() => {
    const run = (fused, type, gradOutputs) => {
      setFused(fused);
      const { inputs, outputs } = make(type);
      const grads =
        gradOutputs ??
        outputs.map((o) => randn(o.shape, { device }).to({ dtype }).to({ dtype: "float32" }));
      const loss = outputs
        .map((o, i) => o.to({ dtype: "float32" }).mul(grads[i]).sum())
        .reduce((a, b) => a.add(b));
      loss.backward();
      return {
        outputs,
        grads,
        gradients: Object.fromEntries(Object.entries(inputs).map(([k, t]) => [k, t.grad.clone()])),
        inputs,
      };
    };
    const kernel = run(true, dtype);
    for (const t of Object.values(kernel.inputs)) t.grad = null;
    const twin = run(false, "float32", kernel.grads);
    for (const t of Object.values(twin.inputs)) t.grad = null;
    const errors = {};
    kernel.outputs.forEach((o, i) => {
      errors[`out${i}`] = relative(o, twin.outputs[i]);
    });
    for (const [key, g] of Object.entries(kernel.gradients))
      errors[`d.${key}`] = relative(g, twin.gradients[key]);
    setFused(true); // for what is measured next
    verdict(`${name} ${dtype}`, errors, limit);
  });
}

export const leaf = (shape, dtype) => randn(shape, { device }).to({ dtype }).detach();
export const asLeaf = (x, dtype) => x.to({ dtype }).detach().clone().requiresGrad_();

/** All shapes on a GPU; the first `count`, small ones, where threads are emulated. */
export const shapes = (all, count = 2) => (isEmulated ? all.slice(0, count) : all);

/**
 * Bytes a second of a few runs: replayed as a graph; or, for a backward pass whose forward pass ran elsewhere, launched one
 * by one, which long kernels hide. `predicted`: ms, written down before.
 */
export function bandwidth(name, bytes, fn, { repeats = 10, asGraph = true, predicted } = {}) {
  scope(() => {
    const work = () => {
      for (let i = 0; i < repeats; i++) scope(() => fn(i));
    };
    const graph = asGraph && Graph.capture(work, { device, warmups: 2 });
    const times = [];
    for (let i = 0; i < 12; i++) {
      synchronize(device);
      const started = performance.now();
      if (graph) graph.replay();
      else work();
      synchronize(device);
      times.push((performance.now() - started) / repeats);
    }
    if (graph) graph.dispose();
    const ms = times.sort((a, b) => a - b)[6];
    say({
      speed: name,
      ms: +ms.toFixed(4),
      ...(predicted ? { predicted } : {}),
      gbPerSecond: Math.round(bytes / ms / 1e6),
      mib: +(bytes / 2 ** 20).toFixed(1),
    });
  });
}
