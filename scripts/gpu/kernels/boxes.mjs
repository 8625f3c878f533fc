// Pixels on their way into a model and out of it: boxes cut and joined, colours normalised, squared error.
import { asLeaf, bandwidth, compare, device, dist, isEmulated, leaf, shapes } from "./harness.mjs";

const { setFused } = await dist("nn/fused/choose");
const { squaredError } = await dist("nn/fused/squared-error");
const { normaliseFused } = await dist("perceptual/fused-vgg16");
const { cutBoxes, joinBoxes, suitsCut, suitsJoin } = await dist("tokenizer/fused-boxes");
const { patchify, unpatchify } = await dist("tokenizer/tubelet");
const { cat, noGrad, randn } = await dist("torch/index");

const colours = { mean: [-0.03, -0.088, -0.188], deviation: [0.458, 0.448, 0.45] };

export function boxes() {
  for (const dtype of ["float32", "bfloat16"]) {
    for (const [batch, grid, q, p] of shapes([
      [2, { t: 1, h: 2, w: 3 }, 1, 8],
      [1, { t: 2, h: 1, w: 2 }, 4, 8],
      [3, { t: 1, h: 16, w: 16 }, 1, 16],
      [2, { t: 2, h: 3, w: 5 }, 2, 32],
    ])) {
      const size = { q, p };
      const sides = [grid.t * q, grid.h * p, grid.w * p];
      const title = `${batch}x${sides} ${q}x${p}`;
      const pixels = leaf([batch, 3, ...sides], "float32");
      const scale = randn([batch, grid.t * grid.h * grid.w, 3 * q * p * p], { device });
      for (const given of [pixels, ...(dtype === "bfloat16" ? [pixels.to({ dtype })] : [])])
        compare(`cut-boxes of ${given.dtype} ${title}`, dtype, (type) => {
          const s = asLeaf(scale, "float32");
          const cut = suitsCut(given, size, type)
            ? cutBoxes(given, size, type)
            : patchify(given, size);
          return { inputs: { s }, outputs: [cut.mul(s)] };
        });
      const boxes0 = leaf([batch, grid.t * grid.h * grid.w, 3 * q * p * p], dtype);
      const bias0 = randn([3], { device });
      compare(`join-boxes ${title}`, dtype, (type) => {
        const [x, bias] = [asLeaf(boxes0, type), asLeaf(bias0, "float32")];
        const joined = suitsJoin(x, bias, size)
          ? joinBoxes(x, bias, grid, size)
          : unpatchify(x, grid, size).add(bias.reshape([1, 3, 1, 1, 1]));
        return { inputs: { x, bias }, outputs: [joined] };
      });
    }
    const pictures0 = leaf([2, 3, 8, 9], "float32");
    compare("planes to channels", dtype, (type) => {
      const x = asLeaf(pictures0, "float32");
      const byHand = () =>
        [0, 1, 2].map((c) => x.narrow(1, c, 1).sub(colours.mean[c]).div(colours.deviation[c]));
      const made = setFused(false) ? normaliseFused(x, colours, type) : cat(byHand(), 1);
      return { inputs: { x }, outputs: [made] };
    });
  }
  const [x0, y] = [leaf([5, 3, 8, 16], "float32"), leaf([5, 3, 8, 16], "float32")];
  compare("squared error", "float32", () => {
    const x = asLeaf(x0, "float32");
    return { inputs: { x }, outputs: [squaredError(x, y)] };
  });
  if (isEmulated) return;
  const pixels = leaf([128, 3, 1, 256, 256], "float32");
  const low = pixels.to({ dtype: "bfloat16" });
  for (const given of [pixels, low])
    bandwidth(`cut-boxes of ${given.dtype}`, given.byteLength + low.byteLength, () =>
      noGrad(() => cutBoxes(given, { q: 1, p: 16 }, "bfloat16")),
    );
  const joined = {
    grid: { t: 1, h: 16, w: 16 },
    size: { q: 1, p: 16 },
    bias: randn([3], { device }),
  };
  const cut = cutBoxes(low, joined.size, "bfloat16");
  bandwidth("join-boxes", 3 * low.byteLength, () =>
    noGrad(() => joinBoxes(cut, joined.bias, joined.grid, joined.size)),
  );
  bandwidth("boxes by libtorch's copy", 2 * low.byteLength, () => patchify(low, { q: 1, p: 16 }));
}
