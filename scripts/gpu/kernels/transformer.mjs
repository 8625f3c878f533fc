// The kernels of a block against their twins: sum and norm, gate, heads; the ceiling they are measured by; whole models.
import {
  asLeaf,
  bandwidth,
  compare,
  device,
  dist,
  inDtype,
  isEmulated,
  leaf,
  random,
  relative,
  shapes,
  verdict,
} from "./harness.mjs";

const { FusedAdamW } = await dist("nn/fused-adamw");
const { addNorm, lastNorm } = await dist("nn/fused/add-norm");
const { gatedSilu } = await dist("nn/fused/gated-silu");
const { modulate } = await dist("nn/fused/modulate");
const { setFused } = await dist("nn/fused/choose");
const { Linear } = await dist("nn/linear");
const { LayerNorm } = await dist("nn/norm");
const { moveTo, parameters } = await dist("nn/parameters");
const { working: workingOf } = await dist("nn/working");
const { Tokenizer } = await dist("tokenizer/tokenizer");
const torch = await dist("torch/index");
const { noGrad, randn, scope } = torch;

export function copy() {
  const x = randn([128 * 256 * 768 * 4], { device }).to({ dtype: "bfloat16" });
  bandwidth("copy (read + write), the ceiling", 2 * x.byteLength, () => x.clone());
}

export function addNormCase() {
  for (const dtype of ["float32", "bfloat16"])
    for (const [shape, width] of shapes([
      [[3, 37], 768],
      [[2, 5], 192],
      [[64, 256], 768],
      [[3, 50], 1152],
      [[1, 1], 8],
    ])) {
      const norm = random(new LayerNorm(width), "float32");
      const linear = random(new Linear(64, width), "bfloat16");
      const x0 = leaf([...shape, width], dtype);
      const h0 = leaf([...shape, 64], dtype);
      for (const [hasBranch, isLast] of [
        [true, false],
        [false, false],
        [true, true],
        [false, true],
      ])
        compare(
          `add-norm ${shape}x${width} ${hasBranch ? "with" : "without"} branch${isLast ? ", last" : ""}`,
          dtype,
          (type) => {
            const x = asLeaf(x0, type);
            const h = asLeaf(h0, type);
            const l = inDtype(linear, type);
            const stream = { x, ...(hasBranch ? { branch: { x: h, linear: l } } : {}) };
            const outputs = isLast ? [lastNorm(stream, norm)] : addNorm(stream, norm);
            return {
              inputs: {
                x,
                ...(hasBranch ? { h, weight: l.weight, bias: l.bias } : {}),
                gamma: norm.weight,
                beta: norm.bias,
              },
              outputs,
            };
          },
        );
    }
  if (isEmulated) return;
  const width = 768;
  const rows = 128 * 256;
  const norm = random(new LayerNorm(width), "float32");
  const bias = randn([width], { device });
  const a = 2 * rows * width;
  const [x, y, s, g] = [0, 1, 2, 3].map(() => leaf([128, 256, width], "bfloat16"));
  const linear = { product: () => y, bias };
  bandwidth("add-norm forward", 4 * a, () =>
    noGrad(() => addNorm({ x, branch: { x: y, linear } }, norm)),
  );
  const xs = x.clone().requiresGrad_();
  const made = addNorm({ x: xs, branch: { x: y, linear } }, norm);
  bandwidth(
    "add-norm backward",
    4 * a,
    () => torch.grad(made, [xs], { gradOutputs: [s, g], retainGraph: true }),
    { asGraph: false },
  );
}

export function modulateCase() {
  for (const dtype of ["float32", "bfloat16"])
    for (const [[batch, tokens], width] of shapes([
      [[3, 7], 96],
      [[2, 5], 264],
      [[8, 256], 1024],
      [[3, 50], 1152],
      [[1, 1], 8],
    ])) {
      const linear = random(new Linear(64, width), "bfloat16");
      const full = leaf([batch, tokens, width], dtype);
      const h0 = leaf([batch, tokens, 64], dtype);
      const vectors = [1, 2, 3].map(() => leaf([batch, 1, width], dtype));
      for (const hasBranch of [true, false])
        compare(
          `modulate ${batch}x${tokens}x${width} ${hasBranch ? "with" : "without"} branch`,
          dtype,
          (type) => {
            const [x, h] = [asLeaf(full, type), asLeaf(h0, type)];
            const [shift, scale, gate] = vectors.map((vector) => asLeaf(vector, type));
            const l = inDtype(linear, type);
            const branch = hasBranch ? { branch: { x: h, linear: l, gate } } : {};
            const outputs = modulate({ x, ...branch }, { shift, scale });
            return {
              inputs: {
                ...{ x, shift, scale },
                ...(hasBranch ? { h, gate, weight: l.weight, bias: l.bias } : {}),
              },
              outputs: hasBranch ? outputs : [outputs[1]],
            };
          },
        );
    }
  if (isEmulated) return;
  const [batch, tokens, width] = [64, 256, 1024];
  const [x, y, s, g] = [0, 1, 2, 3].map(() => leaf([batch, tokens, width], "bfloat16"));
  const [shift, scale, gate] = [0, 1, 2].map(() => leaf([batch, 1, width], "bfloat16"));
  const linear = { product: () => y, bias: randn([width], { device }) };
  bandwidth("modulate forward", 4 * x.byteLength, () =>
    noGrad(() => modulate({ x, branch: { x: y, linear, gate } }, { shift, scale })),
  );
  const xs = x.clone().requiresGrad_();
  const made = modulate({ x: xs, branch: { x: y, linear, gate } }, { shift, scale });
  bandwidth(
    "modulate backward",
    6 * x.byteLength,
    () => torch.grad(made, [xs], { gradOutputs: [s, g], retainGraph: true }),
    { asGraph: false },
  );
}

export function gatedSiluCase() {
  for (const dtype of ["float32", "bfloat16"])
    for (const [rows, hidden] of shapes([
      [37, 512],
      [5, 2096],
      [1000, 1360],
      [300, 3072],
      [64, 2048],
      [2, 16],
    ])) {
      const linear = random(new Linear(64, 2 * hidden), "bfloat16");
      const x0 = leaf([rows, 64], dtype);
      compare(`gated-silu ${rows}x${hidden}`, dtype, (type) => {
        const x = asLeaf(x0, type);
        const l = inDtype(linear, type);
        return { inputs: { x, weight: l.weight, bias: l.bias }, outputs: [gatedSilu(x, l)] };
      });
    }
  if (isEmulated) return;
  const rows = 128 * 256;
  const both = leaf([rows, 4096], "bfloat16");
  const grad = leaf([rows, 2048], "bfloat16");
  const bias = randn([4096], { device });
  const linear = { product: () => both, bias };
  bandwidth("gated-silu forward", 1.5 * both.byteLength, () =>
    noGrad(() => gatedSilu(both, linear)),
  );
  const leafBoth = both.clone().requiresGrad_();
  const out = gatedSilu(leafBoth, { product: () => leafBoth, bias });
  bandwidth(
    "gated-silu backward",
    2.5 * both.byteLength,
    () => torch.grad([out], [leafBoth], { gradOutputs: [grad], retainGraph: true }),
    { asGraph: false },
  );
}

/** Eight blocks take no more memory than two: what a block makes is freed with it. */
function memoryOfBlocks() {
  const [few, many] = [2, 8].map((depth) => {
    const model = Tokenizer.create(`Tiw64d${depth}h1-Tiw64d1h1/8`, { device, dtype: "bfloat16" });
    const pixels = randn([2, 3, 1, 32, 32], { device });
    scope(() => noGrad(() => model.encode(pixels))); // kernels and buffers of the first run
    const before = torch.memory(device).allocatedBytes;
    torch.resetPeakMemory(device);
    scope(() => noGrad(() => model.encode(pixels)));
    const peak = torch.memory(device).peakBytes - before;
    model.dispose();
    return peak;
  });
  verdict("memory of eight blocks beside two", { more: many / few - 1 }, 0.1);
}

/** A model in bfloat16 where nothing learns, with random biases, against float32 without kernels. */
export function inference() {
  memoryOfBlocks();
  for (const [variant, shape] of shapes(
    [
      ["Tiw64d2h1-Tiw64d2h2/8", [2, 3, 1, 16, 24]],
      ["S-B/16", [2, 3, 1, 256, 256]],
      ["Ti-Ti/4x8", [1, 3, 8, 64, 64]],
    ],
    1,
  ))
    scope(() => {
      const model = Tokenizer.create(variant, { seed: 3, device });
      noGrad(() => {
        for (const [, p] of parameters(model))
          if (p.ndim === 1) p.add_(randn(p.shape, { device }).mul(0.1));
      });
      const pixels = randn(shape, { device }).clamp(-1, 1);
      setFused(false);
      const exact = model.reconstruct(pixels);
      moveTo(model, { dtype: "bfloat16" });
      const plain = relative(model.reconstruct(pixels), exact);
      setFused(true);
      const fused = relative(model.reconstruct(pixels), exact);
      // Rounding in other places: the plain path's own distance from float32 is the measure.
      verdict(
        `inference ${variant}, beside plain's ${plain.toExponential(2)}`,
        { fused },
        1.5 * plain,
      );
    });
}

export function tower() {
  // A whole model, kernels and working copies against float32 without either.
  for (const [variant, shape] of [
    ["Ti-Ti/8", [3, 3, 1, 64, 64]],
    ["S-B/16", [2, 3, 1, 256, 256]],
    ["Ti-Ti/4x8", [1, 3, 8, 64, 64]],
    ["Ti-Ld2/16", [1, 3, 1, 64, 64]],
  ]) {
    const pixels = randn(shape, { device }).clamp(-1, 1);
    const model = Tokenizer.create(variant, { seed: 3, device }); // once: it takes seconds
    const run = (fused, copies) =>
      scope(() => {
        setFused(fused);
        const optimizer = copies && new FusedAdamW(parameters(model), {});
        const posterior = model.encode(pixels);
        const recon = model.decode(posterior.mode(), posterior.grid);
        recon.sub(pixels).square().mean().add(posterior.kl().mul(1e-3)).backward();
        const gradients = Object.fromEntries(
          [...parameters(model)].map(([name, p]) => [
            name,
            torch.keep((workingOf(p).grad ?? p.grad).to({ dtype: "float32" })),
          ]),
        );
        for (const [, p] of parameters(model)) p.grad = null;
        if (optimizer) optimizer.dispose();
        return { recon: torch.keep(recon), gradients };
      });
    const reference = run(false, false);
    for (const [name, fused, copies, limit] of [
      ["float32 kernels", true, false, 1e-3],
      ["bfloat16 kernels and copies", true, true, 5e-2],
      ["bfloat16 copies, no kernels", false, true, 5e-2],
    ]) {
      const actual = run(fused, copies);
      const errors = { recon: relative(actual.recon, reference.recon) };
      const worst = Object.entries(actual.gradients)
        .map(([key, g]) => [key, relative(g, reference.gradients[key])])
        .sort((a, b) => b[1] - a[1]);
      for (const [key, error] of worst.slice(0, 4)) errors[key] = error;
      verdict(`${variant} ${name}`, errors, limit);
    }
    model.dispose();
  }
}
