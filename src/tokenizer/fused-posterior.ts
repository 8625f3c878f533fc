// A sample of the posterior and its KL divergence in one pass each way, where plain operators take some ten passes forward and
// fifteen back. The twins are posterior.ts's sampleGaussian and kl, which chooses.
import { bitsOf, suitsKernels } from "../nn/fused/choose.js";
import { overGroups } from "../nn/fused/passes.js";
import { float, int, loadKernel, type Plan, planFor, type Tensor } from "../torch/index.js";

/** Whether drawFused() may run: a GPU, noise that learns nothing, a count of channels that is a multiple of 8. */
export function suitsDraw(moments: Tensor, noise: Tensor): boolean {
  const isNoise = noise.dtype === "float32" && !noise.requiresGrad && suitsKernels(noise);
  const fits = String(noise.shape) === String(moments.shape.with(-1, moments.size(-1) / 2));
  return isNoise && fits && noise.size(-1) % 8 === 0 && suitsKernels(moments);
}

/** moments [B, L, 2c], noise [B, L, c] -> latent [B, L, c], and the mean divergence in nats; both float32 */
export function drawFused(moments: Tensor, noise: Tensor): { latent: Tensor; kl: Tensor } {
  const [latent, parts] = planOf(moments, noise).run(moments, noise) as [Tensor, Tensor];
  return { latent, kl: parts.sum() };
}

function planOf(moments: Tensor, noise: Tensor): Plan {
  const { shape, dtype, device } = moments;
  return planFor(`gaussian ${shape} ${dtype} ${device}`, () => {
    const groups = noise.numel / 8;
    const { blocks, size } = overGroups(device, groups);
    const constants = { C: noise.size(-1), ...bitsOf(moments) };
    const kernel = (name: string) => loadKernel("gaussian", name, device, constants);
    const scalars = [int(groups), float(0.5 / noise.numel)];
    return {
      inputs: { moments: { shape, dtype }, noise: { shape: noise.shape, dtype: "float32" } },
      forward: {
        buffers: {
          latent: { shape: noise.shape, dtype: "float32" },
          parts: { shape: [blocks], dtype: "float32" },
        },
        steps: [
          {
            kernel: kernel("gaussian"),
            ...size,
            args: ["moments", "noise", "latent", "parts", ...scalars],
          },
        ],
      },
      outputs: ["latent", "parts"],
      backward: {
        buffers: { gradient: { shape, dtype } },
        steps: [
          {
            kernel: kernel("gaussian_backward"),
            ...size,
            args: ["d.latent", "d.parts", "moments", "noise", "gradient", ...scalars],
          },
        ],
      },
      gradients: { moments: "gradient" },
    };
  });
}
