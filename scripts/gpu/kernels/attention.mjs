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
  for (const [batch, grid, heads] of shapes([
    [2, { t: 1, h: 9, w: 8 }, 3],
    [5, { t: 1, h: 8, w: 8 }, 1],
    [3, { t: 1, h: 16, w: 16 }, 12],
    [2, { t: 1, h: 1, w: 1 }, 1],
    [2, { t: 3, h: 9, w: 7 }, 4],
    [70, { t: 1, h: 13, w: 15 }, 12],
  ]))
    check(batch, grid, heads);
  if (!isEmulated) for (const tokens of [256, 0]) measure(tokens);
  setSelfAttention(before);
}

function check(batch, grid, heads) {
  const width = heads * 64;
  const rope = new RopeTables(64).at(grid, 0, device);
  const linear = random(new Linear(64, 3 * width), "bfloat16");
  const x0 = leaf([batch, grid.t * grid.h * grid.w, 64], "bfloat16");
  compare(
    `attention ${batch}x${JSON.stringify(grid)} ${heads}`,
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

/** 128 x 256 tokens, 12 heads of 64; in one kernel of up to `tokens`, else in libtorch's behind our turn. */
function measure(tokens) {
  setSelfAttention(tokens);
  const rope = new RopeTables(64).at({ t: 1, h: 16, w: 16 }, 0, device);
  const all = leaf([128, 256, 3 * 768], "bfloat16");
  const bias = randn([3 * 768], { device });
  const grad = leaf([128, 256, 768], "bfloat16");
  const title = tokens ? "one kernel" : "turn, then libtorch's";
  const bytes = (4 / 3) * all.byteLength; // of one kernel
  bandwidth(
    `attention forward, ${title}`,
    bytes,
    () => noGrad(() => selfAttention(all, { product: () => all, bias }, rope, 12)),
    { predicted: tokens ? 0.085 : 0.19 },
  );
  const leafAll = all.clone().requiresGrad_();
  const out = selfAttention(leafAll, { product: () => leafAll, bias }, rope, 12);
  bandwidth(
    `attention backward, ${title}`,
    2 * bytes,
    () => torch.grad([out], [leafAll], { gradOutputs: [grad], retainGraph: true }),
    { asGraph: false, predicted: tokens ? 0.17 : 0.6 },
  );
}
