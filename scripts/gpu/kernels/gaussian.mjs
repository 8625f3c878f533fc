// A posterior's sample and its KL divergence in one pass, each way; log-variances beyond their limits included.
import { asLeaf, bandwidth, compare, device, dist, isEmulated, leaf, shapes } from "./harness.mjs";

const { Posterior } = await dist("tokenizer/posterior");
const { suitsDraw } = await dist("tokenizer/fused-posterior");
const { grad, noGrad, randn } = await dist("torch/index");

const size = { frames: 1, height: 1, width: 1 };
const posteriorOf = (moments) => new Posterior(moments, { t: 1, h: 1, w: 1 }, size);

export function gaussian() {
  for (const dtype of ["float32", "bfloat16"])
    for (const [batch, tokens, channels] of shapes(
      [
        [2, 5, 16],
        [1, 37, 8],
        [3, 100, 64],
        [128, 256, 16],
      ],
      3,
    )) {
      const given = leaf([batch, tokens, 2 * channels], dtype);
      const noise = randn([batch, tokens, channels], { device });
      if (!suitsDraw(given, noise)) throw new Error("Expected a kernel for the draw.");
      const check = (title) =>
        compare(`gaussian ${batch}x${tokens}x${channels}${title}`, dtype, (type) => {
          const moments = asLeaf(given, type);
          const { latent, kl } = posteriorOf(moments).draw(noise);
          return { inputs: { moments }, outputs: [latent, kl] };
        });
      // the first log-variance of each row is held, and learns nothing
      noGrad(() => given.narrow(2, channels, 1).sub_(40));
      check("");
      noGrad(() => given.narrow(2, channels, 1).add_(80));
      check(", held above");
    }
  if (isEmulated) return;
  const given = leaf([128, 256, 32], "bfloat16").requiresGrad_();
  const noise = randn([128, 256, 16], { device });
  const count = noise.numel;
  bandwidth("gaussian forward", 12 * count, () => noGrad(() => posteriorOf(given).draw(noise)));
  const { latent, kl } = posteriorOf(given).draw(noise);
  const options = { gradOutputs: [noise, kl.detach()], retainGraph: true };
  bandwidth("gaussian backward", 16 * count, () => grad([latent, kl], [given], options), {
    asGraph: false,
  });
}
