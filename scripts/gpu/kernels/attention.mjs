// Self-attention of few tokens in one kernel each way, against its twin and against libtorch's kernels.
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
  shapes,
} from "./harness.mjs";

const { selfAttention, setSelfAttention } = await dist("nn/fused/self-attention");
const { Linear } = await dist("nn/linear");
const { RopeTables } = await dist("nn/rope");
const torch = await dist("torch/index");
const { noGrad, randn } = torch;

export function attentionCase() {
  const before = setSelfAttention(); // on
  const forms = ["hopper", "warps"];
  for (const form of forms) checkForm(form);
  if (!isEmulated) for (const form of ["hopper", "warps", "none"]) timeForm(form);
  setSelfAttention(before);
}

function checkForm(form) {
  setSelfAttention(256, form);
  for (const [batch, grid, heads, headDim] of shapes([
    [2, { t: 1, h: 9, w: 8 }, 3, 64],
    [1, { t: 2, h: 2, w: 5 }, 2, 64],
    [3, { t: 1, h: 16, w: 16 }, 12, 64],
    [2, { t: 1, h: 1, w: 1 }, 1, 64],
    [2, { t: 3, h: 9, w: 7 }, 4, 64],
    [5, { t: 1, h: 8, w: 8 }, 6, 64],
  ])) {
    const width = heads * headDim;
    const rope = new RopeTables(headDim).at(grid, 0, device);
    const linear = random(new Linear(64, 3 * width), "bfloat16");
    const x0 = leaf([batch, grid.t * grid.h * grid.w, 64], "bfloat16");
    compare(
      `attention, ${form}, ${batch}x${JSON.stringify(grid)} ${heads}x${headDim}`,
      "bfloat16",
      (type) => {
        const x = asLeaf(x0, type);
        const l = inDtype(linear, type);
        const outputs = [selfAttention(x, l, rope, heads)];
        return { inputs: { x, weight: l.weight, bias: l.bias }, outputs };
      },
      1.5e-2, // scores and their gradients are rounded on the way, too
    );
  }
}

/**
 * Predicted of 128 x 256 tokens, 12 heads of 64, in ms: hopper forward 0.095, backward 0.20; bytes alone take 0.070 and 0.14.
 * Measured before: cuDNN's behind our turn 0.195 and 0.56.
 */
function timeForm(form) {
  setSelfAttention(form === "none" ? 0 : 256, form === "none" ? "hopper" : form);
  const rope = new RopeTables(64).at({ t: 1, h: 16, w: 16 }, 0, device);
  const all = leaf([128, 256, 3 * 768], "bfloat16");
  const bias = randn([3 * 768], { device });
  const grad = leaf([128, 256, 768], "bfloat16");
  const title = form === "none" ? "turn, then libtorch's" : form;
  const bytes = (4 / 3) * all.byteLength; // of one kernel
  bandwidth(`attention forward, ${title}`, bytes, () =>
    noGrad(() => selfAttention(all, { product: () => all, bias }, rope, 12)),
  );
  const leafAll = all.clone().requiresGrad_();
  const out = selfAttention(leafAll, { product: () => leafAll, bias }, rope, 12);
  bandwidth(
    `attention backward, ${title}`,
    2 * bytes,
    () => torch.grad([out], [leafAll], { gradOutputs: [grad], retainGraph: true }),
    { asGraph: false },
  );
}
