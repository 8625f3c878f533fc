// Bytes, as files have them, on their way into a model and its loss: cut into boxes, made pixels, compared with a reconstruction.
import {
  asLeaf,
  bandwidth,
  compare,
  device,
  dist,
  isEmulated,
  leaf,
  relative,
  shapes,
  verdict,
} from "./harness.mjs";

const { setFused } = await dist("nn/fused/choose");
const { coloursFirst, toPixels } = await dist("nn/fused/pixels");
const { squaredError } = await dist("nn/fused/squared-error");
const { cutBoxes, suitsCut } = await dist("tokenizer/fused-boxes");
const { Tokenizer } = await dist("tokenizer/tokenizer");
const { patchify } = await dist("tokenizer/tubelet");
const { grad, noGrad, rand, randn, scope } = await dist("torch/index");

/** uint8 [B, 3, T, H, W] that lies as [B, T, H, W, 3]. */
const bytesOf = (batch, [frames, height, width]) =>
  coloursFirst(
    rand([batch, frames, height, width, 3], { device }).mul(256).to({ dtype: "uint8" }),
  ).detach();

export function bytes() {
  for (const dtype of ["float32", "bfloat16"])
    for (const [batch, grid, q, p] of shapes([
      [2, { t: 1, h: 2, w: 3 }, 1, 8],
      [1, { t: 2, h: 1, w: 2 }, 4, 8],
      [3, { t: 1, h: 16, w: 16 }, 1, 16],
      [2, { t: 2, h: 3, w: 5 }, 2, 32],
    ])) {
      const size = { q, p };
      const sides = [grid.t * q, grid.h * p, grid.w * p];
      const given = bytesOf(batch, sides);
      const scale = randn([batch, grid.t * grid.h * grid.w, 3 * q * p * p], { device });
      compare(`cut-bytes ${batch}x${sides} ${q}x${p}`, dtype, (type) => {
        const s = asLeaf(scale, "float32");
        const cut = suitsCut(given, size, type)
          ? cutBoxes(given, size, type)
          : patchify(toPixels(given), size);
        return { inputs: { s }, outputs: [cut.mul(s)] };
      });
    }
  for (const [batch, ...sides] of [
    [2, 1, 4, 6],
    [3, 2, 2, 5],
  ]) {
    const given = bytesOf(batch, sides);
    const x0 = leaf([batch, 3, ...sides], "float32");
    compare(`bytes ${batch}x${sides} to pixels, and squared error`, "float32", () => {
      const x = asLeaf(x0, "float32");
      return { inputs: { x }, outputs: [toPixels(given).mul(x), squaredError(x, given)] };
    });
    // a part begins where the kernel cannot read
    const parts = [true, false].map((fused) => {
      setFused(fused);
      return toPixels(given.narrow(0, 1, 1));
    });
    setFused(true);
    verdict(`part of ${batch}x${sides}`, { pixels: relative(...parts) }, 1e-6);
  }
  if (!isEmulated) speed();
}

function speed() {
  const given = bytesOf(256, [1, 256, 256]);
  const count = given.numel;
  noGrad(() => {
    bandwidth("cut-bytes", 3 * count, () => cutBoxes(given, { q: 1, p: 16 }, "bfloat16"));
    bandwidth("bytes to pixels", 5 * count, () => toPixels(given));
  });
  const x = leaf(given.shape, "float32").requiresGrad_();
  bandwidth("squared error of bytes forward", 5 * count, () =>
    noGrad(() => squaredError(x, given)),
  );
  const made = squaredError(x, given);
  bandwidth(
    "squared error of bytes backward",
    9 * count,
    () => grad([made], [x], { retainGraph: true }),
    { asGraph: false },
  );
  // what it is for: the same picture encoded from bytes and, as before, from pixels made by libtorch's operators
  scope(() => {
    const model = Tokenizer.create("S-B/16", { device, dtype: "bfloat16" });
    const slow = () => given.contiguous().to({ dtype: "float32" }).div(127.5).sub(1);
    noGrad(() => {
      bandwidth("encode of 256 from bytes", count, () => model.encode(given).mean, { repeats: 2 });
      const before = () => model.encode(slow().to({ dtype: "bfloat16" })).mean;
      bandwidth("encode of 256 by way of pixels", count, before, { repeats: 2 });
    });
    model.dispose();
  });
}
