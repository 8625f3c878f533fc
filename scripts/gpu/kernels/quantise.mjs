// 8-bit floats: rows quantised by the kernel against the twin, a product against that of what the 8 bits stand for, and what a
// whole model loses by them beside what bfloat16 loses.
import {
  bandwidth,
  device,
  dist,
  isEmulated,
  leaf,
  relative,
  shapes,
  verdict,
} from "./harness.mjs";

const { setFused } = await dist("nn/fused/choose");
const { quantiseRows, quantiseRowsTwin } = await dist("nn/fused/quantise-rows");
const { Tokenizer } = await dist("tokenizer/tokenizer");
const { linear, noGrad, randn, scaledLinear, scope } = await dist("torch/index");

const wide = ({ values, scales }) => values.to({ dtype: "float32" }).mul(scales);

export function quantise() {
  noGrad(() => {
    for (const dtype of ["float32", "bfloat16"])
      for (const [rows, width] of shapes([
        [37, 64],
        [5, 768],
        [1000, 2048],
        [300, 3072],
        [65, 1152],
      ]))
        scope(() => {
          const x = leaf([rows, width], dtype);
          x.narrow(0, 0, 1).mul_(0); // a row of nothing
          x.narrow(0, 1, 1).mul_(1e-4); // and one of small numbers
          const [fused, twin] = [quantiseRows(x), quantiseRowsTwin(x)];
          // one rounding in a thousand may fall to the other side
          const errors = { values: relative(wide(fused), wide(twin)) };
          verdict(`quantise-rows ${rows}x${width} ${dtype}`, errors, 2e-3);
          verdict("its scales", { scales: relative(fused.scales, twin.scales) }, 1e-6);
        });
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
      ["S-B/16", [4, 3, 1, 256, 256]],
    ].slice(0, isEmulated ? 1 : 2))
      model(variant, shape);
  });
  if (!isEmulated) speed();
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
    verdict(`float8 ${variant}, kernels beside twins`, { recon: relative(made[2], twin) }, 0.1);
    tokenizer.dispose();
  });
}

function speed() {
  noGrad(() => {
    for (const width of [768, 2048]) {
      const x = leaf([256 * 256, width], "bfloat16");
      bandwidth(`quantise-rows ${width}`, 1.5 * x.byteLength, () => quantiseRows(x));
    }
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
