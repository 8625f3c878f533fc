// Inception's convolutions one by one: what each takes in either layout, with bias and ReLU as passes of their own or within,
// and as a matrix product where it is one. By cuDNN's rules: trying all of its ways was no faster and takes the memory of the
// largest of them, all that a GPU has.
// One JSON line a shape, then sums over the network. evaluate.mjs --convolutions runs it.

/** Every convolution of a table with its input's channels and side, and how many of the network are alike. */
function shapesOf(steps, start) {
  const found = new Map();
  const sideAfter = (side, { kernel, stride, padding }) =>
    Math.floor((side + 2 * padding[0] - kernel[0]) / stride) + 1;
  const walk = (layers, from) =>
    layers.reduce(({ channels, side }, layer) => {
      switch (layer.kind) {
        case "conv": {
          const { kernel, stride, padding, out } = layer;
          const key = JSON.stringify([channels, out, kernel, stride, side]);
          const known = found.get(key) ?? {
            channels,
            side,
            kernel,
            stride,
            padding,
            out,
            count: 0,
          };
          found.set(key, { ...known, count: known.count + 1 });
          return { channels: out, side: sideAfter(side, layer) };
        }
        case "maxPool":
          return {
            channels,
            side: Math.floor((side + 2 * layer.padding - 3) / layer.stride) + 1,
          };
        case "fork": {
          const ends = layer.branches.map((branch) => walk(branch, { channels, side }));
          const total = ends.reduce((sum, end) => sum + end.channels, 0);
          return { channels: total, side: ends[0].side };
        }
        default:
          return { channels, side };
      }
    }, from);
  walk(steps, start);
  return [...found.values()];
}

const layouts = { nchw: 0, nhwc: 2 }; // at::MemoryFormat
const laidOut = (call, format, ...tensors) => tensors.map((x) => call("clone", x, format));

/** The ways of one convolution: name and function, its inputs made anew for each layout and freed by the scope around. */
function* waysOf(torch, { x, weight, bias, geometry }) {
  const { call, setFlag } = torch;
  const plain = (input, filter, tf32) => {
    const rest = [false, [0, 0], 1, false, false, true, tf32];
    return call("_convolution", input, filter, bias, ...geometry, ...rest);
  };
  const within = (input, filter) =>
    call("cudnn_convolution_relu", input, filter, bias, ...geometry, 1);
  for (const tf32 of [false, true]) {
    setFlag("tf32", tf32); // what `within` and products go by
    for (const [layout, format] of Object.entries(layouts)) {
      const [input, filter] = laidOut(call, format, x, weight);
      const name = `${layout}${tf32 ? " tf32" : ""}`;
      yield [name, () => plain(input, filter, tf32)];
      yield [`${name} and relu`, () => call("relu_", plain(input, filter, tf32))];
      yield [`${name} within`, () => within(input, filter)];
    }
    if (weight.numel !== weight.size(0) * weight.size(1)) continue;
    const rows = x.permute([0, 2, 3, 1]).reshape([-1, x.size(1)]);
    const columns = weight.flatten(1).transpose(0, 1);
    const product = () => call("_addmm_activation", bias, rows, columns, 1, 1, false);
    yield [`product${tf32 ? " tf32" : ""}`, product];
  }
}

/** How far a way is from float64, relative, of the first pictures. */
function distanceFrom({ call, scope }, { x, weight, bias, geometry }) {
  const few = Math.min(4, x.size(0));
  const wide = [x.narrow(0, 0, few), weight, bias].map((t) => t.to({ dtype: "float64" }));
  const exact = call("convolution", ...wide, ...geometry, false, [0, 0], 1).relu();
  const size = (tensor) => tensor.square().sum().sqrt().item();
  return (run) =>
    scope(() => size(run().narrow(0, 0, few).to({ dtype: "float64" }).sub(exact)) / size(exact));
}

export function measureConvolutions(torch, { steps, device, batch, rounds, beat }) {
  const { randn, scope, synchronize } = torch;
  const time = (run) => {
    for (let i = 0; i < 2; i++) scope(() => void run());
    synchronize(device);
    const started = performance.now();
    for (let i = 0; i < rounds; i++) scope(() => void run());
    synchronize(device);
    return (performance.now() - started) / rounds;
  };
  const timeOrReason = (run) => {
    try {
      return +time(run).toFixed(4);
    } catch (error) {
      return String(error.message).slice(0, 100);
    }
  };
  const sums = { gflop: 0, "best of float32": 0, "best of tf32": 0 };
  for (const shape of shapesOf(steps, { channels: 3, side: 299 })) {
    const { channels, side, kernel, stride, padding, out, count } = shape;
    const depth = channels * kernel[0] * kernel[1];
    const geometry = [[stride, stride], padding, [1, 1]];
    const ends = kernel.map((length, i) =>
      Math.floor((side + 2 * padding[i] - length) / stride + 1),
    );
    const gflop = (2 * batch * ends[0] * ends[1] * depth * out) / 1e9;
    const { ms, error } = scope(() => {
      const x = randn([batch, channels, side, side], { device });
      const weight = randn([out, channels, ...kernel], { device }).mul(Math.sqrt(2 / depth));
      const problem = { x, weight, bias: randn([out], { device }), geometry };
      const distance = distanceFrom(torch, problem);
      const [ms, error] = [{}, {}];
      for (const [name, run] of waysOf(torch, problem)) {
        ms[name] = timeOrReason(run);
        if (/relu|within/.test(name) && typeof ms[name] === "number")
          error[name] = distance(run).toExponential(1);
      }
      return { ms, error };
    });
    beat(`convolution ${JSON.stringify(shape)}`);
    const conv = `${channels}->${out} ${kernel.join("x")}/${stride} at ${side}`;
    console.log(JSON.stringify({ conv, count, gflop: +gflop.toFixed(2), ms, error }));
    const times = Object.entries(ms).filter(([, value]) => typeof value === "number");
    for (const [name, value] of times) sums[name] = (sums[name] ?? 0) + count * value;
    const best = (fits) =>
      Math.min(
        ...times
          .filter(([name]) => /relu|within|product/.test(name) && fits(name))
          .map(([, value]) => value),
      );
    const isTf32 = (name) => / tf32/.test(name);
    sums["best of float32"] += count * best((name) => !isTf32(name));
    sums["best of tf32"] += count * best(isTf32);
    sums.gflop += count * gflop;
  }
  const rounded = Object.entries(sums).map(([name, sum]) => [name, +sum.toFixed(2)]);
  console.log(JSON.stringify({ conv: "all of Inception", batch, ms: Object.fromEntries(rounded) }));
}
