// 8-bit floats: rows quantised by the kernel against the twin, a product against that of what the 8 bits stand for, and what a
// whole model loses by them beside what bfloat16 loses.
import {
  bandwidth,
  device,
  dist,
  isEmulated,
  leaf,
  random,
  relative,
  shapes,
  verdict,
} from "./harness.mjs";

const { setFused } = await dist("nn/fused/choose");
const { addNorm } = await dist("nn/fused/add-norm");
const { gatedSilu } = await dist("nn/fused/gated-silu");
const { quantiseRows, quantiseRowsTwin } = await dist("nn/fused/quantise-rows");
const { Linear } = await dist("nn/linear");
const { LayerNorm } = await dist("nn/norm");
const { moveTo } = await dist("nn/parameters");
const { Tokenizer } = await dist("tokenizer/tokenizer");
const { linear, noGrad, randn, scaledLinear, scope } = await dist("torch/index");

/** The numbers that 8-bit rows stand for. */
const wide = ({ values, scales }) => values.to({ dtype: "float32" }).mul(scales);

export function quantise() {
  noGrad(() => {
    for (const dtype of ["float32", "bfloat16"])
      for (const [rows, width] of shapes([
        [37, 64],
        [5, 768],
        [300, 3072],
      ]))
        scope(() => {
          const x = leaf([rows, width], dtype);
          x.narrow(0, 0, 1).mul_(0); // a row of nothing
          x.narrow(0, 1, 1).mul_(1e-4); // and one of small numbers
          const [fused, twin] = [quantiseRows(x), quantiseRowsTwin(x)];
          // a rounding may fall to the other side, a sixteenth of a number
          const errors = { values: relative(wide(fused), wide(twin)) };
          verdict(`quantise-rows ${rows}x${width} ${dtype}`, errors, 1e-2);
          verdict("its scales", { scales: relative(fused.scales, twin.scales) }, 1e-6);
        });
    for (const dtype of ["float32", "bfloat16"])
      for (const [rows, width, hidden] of shapes([
        [7, 96, 256],
        [37, 264, 320],
        [300, 768, 2048],
        [65, 1152, 3072],
      ]))
        for (const hasBranch of [true, false])
          rowsOfPasses({ dtype, rows, width, hidden, hasBranch });
    for (const [rows, inner, columns] of [
      [37, 64, 48],
      [300, 768, 2304],
      [8352, 2048, 768],
    ].slice(0, isEmulated ? 1 : 3))
      scope(() => {
        const [x, weight] = [leaf([rows, inner], "bfloat16"), leaf([columns, inner], "bfloat16")];
        const [a, b] = [quantiseRows(x), quantiseRows(weight)];
        const product = scaledLinear(a.values, b.values, { x: a.scales, weight: b.scales });
        verdict(
          `8-bit product ${rows}x${inner}x${columns}`,
          { product: relative(product, linear(wide(a), wide(b))) },
          5e-3, // rounding to bfloat16, and sums of fewer bits
        );
      });
    for (const [variant, shape] of [
      ["Tiw64d2h1-Tiw64d2h2/8", [2, 3, 1, 16, 24]],
      ["Ti-Ti/16", [4, 3, 1, 256, 256]],
    ].slice(0, isEmulated ? 1 : 2))
      model(variant, shape);
  });
  if (!isEmulated) speed();
}

const randomIn = (layer, dtype) => {
  moveTo(random(layer, dtype), { dtype });
  return layer;
};

/** What norm and gate leave in 8 bits, against the twin's rows quantised by the twin. */
function rowsOfPasses({ dtype, rows, width, hidden, hasBranch }) {
  scope(() => {
    const x = leaf([1, rows, width], dtype);
    const norm = randomIn(new LayerNorm(width), dtype);
    const branch = {
      x: leaf([1, rows, 64], dtype),
      linear: randomIn(new Linear(64, width), dtype),
    };
    const gate = randomIn(new Linear(64, 2 * hidden), dtype);
    const both = () => {
      const [sum, normed] = addNorm({ x, ...(hasBranch ? { branch } : {}) }, norm, {
        isQuantised: true,
      });
      return [sum, wide(quantiseRows(normed)), wide(quantiseRows(gatedSilu(branch.x, gate, true)))];
    };
    const fused = both();
    setFused(false);
    const twin = both();
    setFused(true);
    const errors = ["sum", "norm", "gate"].map((name, i) => [name, relative(fused[i], twin[i])]);
    const title = `8-bit rows of ${rows}x${width}, ${hidden} ${hasBranch ? "with" : "without"} branch`;
    // a rounding of the last bit before may move one of the 8 bits by a sixteenth
    verdict(`${title} ${dtype}`, Object.fromEntries(errors), dtype === "float32" ? 1e-2 : 3e-2);
  });
}

function model(variant, shape) {
  scope(() => {
    const pixels = randn(shape, { device }).clamp(-1, 1);
    const made = ["float32", "bfloat16", "float8"].map((dtype) => {
      const tokenizer = Tokenizer.create(variant, { seed: 3, device, dtype });
      const recon = tokenizer.reconstruct(pixels);
      tokenizer.dispose();
      return recon;
    });
    const [low, lowest] = made.slice(1).map((recon) => relative(recon, made[0]));
    verdict(
      `float8 ${variant}, beside bfloat16's ${low.toExponential(2)}`,
      { float8: lowest },
      0.3,
    );
    const tokenizer = Tokenizer.create(variant, { seed: 3, device, dtype: "float8" });
    setFused(false);
    const twin = tokenizer.reconstruct(pixels);
    setFused(true);
    verdict(`float8 ${variant}, kernels beside twins`, { recon: relative(made[2], twin) }, 0.15);
    tokenizer.dispose();
  });
}

function speed() {
  noGrad(() => {
    for (const width of [768, 2048]) {
      const x = leaf([256 * 256, width], "bfloat16");
      bandwidth(`quantise-rows ${width}`, 1.5 * x.byteLength, () => quantiseRows(x));
    }
    const rows = [256, 256];
    const [x, y] = [leaf([...rows, 768], "bfloat16"), leaf([...rows, 768], "bfloat16")];
    const norm = randomIn(new LayerNorm(768), "bfloat16");
    const added = { x, branch: { x: y, linear: { product: () => y, bias: norm.bias } } };
    bandwidth("sum and norm in 8 bits", 3.5 * x.byteLength, () =>
      addNorm(added, norm, { isQuantised: true }),
    );
    const all = leaf([...rows, 4096], "bfloat16");
    const gate = { product: () => all, bias: leaf([4096], "bfloat16") };
    bandwidth("gate in 8 bits", 1.25 * all.byteLength, () => gatedSilu(all, gate, true));
    for (const [inner, columns] of [
      [768, 2304],
      [768, 768],
      [768, 4096],
      [2048, 768],
    ])
      scope(() => {
        const [x, weight] = [leaf([65536, inner], "bfloat16"), leaf([columns, inner], "bfloat16")];
        const [a, b] = [quantiseRows(x), quantiseRows(weight)];
        const scales = { x: a.scales, weight: b.scales };
        const bytes = (size) => 65536 * (size * inner + 2 * columns);
        const title = `${inner} to ${columns}`;
        bandwidth(`product in bfloat16 ${title}`, bytes(2), () => linear(x, weight));
        bandwidth(`product in float8 ${title}`, bytes(1), () =>
          scaledLinear(a.values, b.values, scales),
        );
      });
  });
}
