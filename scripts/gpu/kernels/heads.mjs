// Heads from one product: bias, split and turn, each way; and where nothing learns, turned in the product's memory.
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

const { rotatedHeads, rotatedHeadsTwin, suitsTurn, turnedHeads } =
  await dist("nn/fused/rotated-heads");
const { Linear } = await dist("nn/linear");
const { moveTo, parameters } = await dist("nn/parameters");
const { RopeTables } = await dist("nn/rope");
const torch = await dist("torch/index");
const { noGrad, randn, scope } = torch;

/** Where nothing learns: heads turned in the product's memory. */
function checkTurn([batch, grid, heads, headDim], { x, rope }) {
  noGrad(() =>
    scope(() => {
      const linear = random(new Linear(64, 3 * heads * headDim), x.dtype);
      moveTo(linear, { dtype: x.dtype });
      if (!suitsTurn(x, linear.bias)) throw new Error("Expected a kernel for the turn.");
      const made = turnedHeads(x, linear, rope, heads);
      moveTo(linear, { dtype: "float32" });
      const twin = rotatedHeadsTwin(x.to({ dtype: "float32" }), linear, rope, heads);
      const errors = Object.fromEntries(
        made.map((part, i) => [`out${i}`, relative(part, twin[i])]),
      );
      const name = `rotate-split in place ${batch}x${JSON.stringify(grid)} ${heads}x${headDim}`;
      verdict(`${name} ${x.dtype}`, errors, x.dtype === "float32" ? 1e-4 : 1e-2);
      for (const [, tensor] of parameters(linear)) tensor.dispose();
    }),
  );
}

export function rotateSplitCase() {
  for (const dtype of ["float32", "bfloat16"])
    for (const [batch, grid, heads, headDim] of shapes([
      [3, { t: 1, h: 2, w: 3 }, 12, 64],
      [5, { t: 2, h: 2, w: 2 }, 2, 20],
      [2, { t: 2, h: 3, w: 3 }, 16, 72],
      [7, { t: 1, h: 16, w: 16 }, 3, 64],
      [1, { t: 1, h: 1, w: 1 }, 1, 4],
    ])) {
      const width = heads * headDim;
      const rope = new RopeTables(headDim).at(grid, 0, device);
      const linear = random(new Linear(64, 3 * width), "bfloat16");
      const x0 = leaf([batch, grid.t * grid.h * grid.w, 64], dtype);
      compare(
        `rotate-split ${batch}x${JSON.stringify(grid)} ${heads}x${headDim}`,
        dtype,
        (type) => {
          const x = asLeaf(x0, type);
          const l = inDtype(linear, type);
          return {
            inputs: { x, weight: l.weight, bias: l.bias },
            outputs: rotatedHeads(x, l, rope, heads),
          };
        },
      );
      checkTurn([batch, grid, heads, headDim], { x: x0, rope });
    }
  if (isEmulated) return;
  const rope = new RopeTables(64).at({ t: 1, h: 16, w: 16 }, 0, device);
  const all = leaf([128, 256, 3 * 768], "bfloat16");
  const bias = randn([3 * 768], { device });
  bandwidth("rotate-split forward", 2 * all.byteLength, () =>
    noGrad(() => rotatedHeads(all, { product: () => all, bias }, rope, 12)),
  );
  const turn = () => turnedHeads(all, { forward: () => all }, rope, 12);
  bandwidth("rotate-split in place", (4 / 3) * all.byteLength, () => noGrad(turn));
  const leafAll = all.clone().requiresGrad_();
  const made = rotatedHeads(leafAll, { product: () => leafAll, bias }, rope, 12);
  const grads = made.map(() => leaf([128, 256, 12, 64], "bfloat16").transpose(1, 2));
  bandwidth(
    "rotate-split backward",
    2 * all.byteLength,
    () => torch.grad(made, [leafAll], { gradOutputs: grads, retainGraph: true }),
    { asGraph: false },
  );
}
