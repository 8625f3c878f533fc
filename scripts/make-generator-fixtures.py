"""Writes test/fixtures/generator/: what PyTorch and diffusers compute for the Diffusion Transformer and its samplers.

python scripts/make-generator-fixtures.py     (torch 2.13, numpy, diffusers 0.33.1; some 150 kB, committed)
The network is written out here apart from the implementation under test; its weights are those of test/formula.ts, so
the file holds outputs and gradients alone. DDIM over DiT's respaced steps follows guided diffusion's formulas in float64;
DDIM over even steps, DPM-Solver++ and Euler's flow are diffusers'.
"""
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, FlowMatchEulerDiscreteScheduler
from safetensors.torch import save_file

FOLDER = Path(__file__).parent.parent / "test/fixtures/generator"
torch.set_num_threads(1)
WIDTH, DEPTH, HEADS, CHANNELS, CLASSES, HIDDEN = 24, 2, 2, 4, 3, 64
GRID, BATCH = (1, 2, 3), 2


def formula(shape, k, scale=1.0):
    """test/formula.ts: element i of the k-th tensor is a hash of i and k in (-1, 1), times a scale."""
    i = np.arange(int(np.prod(shape)), dtype=np.float64)
    value = np.sin((i + 1) * 12.9898 + k * 78.233) * 43758.5453
    return torch.tensor(((2 * (value - np.floor(value)) - 1) * scale).astype(np.float32)).reshape(shape)


def weights():
    """Names and shapes in the order of the model's properties; the k-th is formula(shape, k, 0.3)."""
    shapes = {}

    def linear(name, inside, outside):
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outside, inside), (outside,)

    linear("embed", CHANNELS, WIDTH)
    linear("time_embed.fc1", 256, WIDTH)
    linear("time_embed.fc2", WIDTH, WIDTH)
    shapes["label_embed"] = (CLASSES + 1, WIDTH)
    for i in range(DEPTH):
        linear(f"blocks.{i}.attn.qkv", WIDTH, 3 * WIDTH)
        linear(f"blocks.{i}.attn.proj", WIDTH, WIDTH)
        linear(f"blocks.{i}.mlp.w12", WIDTH, 2 * HIDDEN)
        linear(f"blocks.{i}.mlp.w3", HIDDEN, WIDTH)
        linear(f"blocks.{i}.modulation", WIDTH, 6 * WIDTH)
    linear("modulation", WIDTH, 2 * WIDTH)
    linear("to_latent", WIDTH, CHANNELS)
    return {name: formula(shape, k, 0.3).requires_grad_() for k, (name, shape) in enumerate(shapes.items())}


def rotated(x):
    """x [B, heads, N, headDim]: pair k, (x[k], x[k + headDim / 2]), turned by the token's place in the grid."""
    pairs = x.shape[-1] // 2
    space = -(-pairs // 3)
    places = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in GRID))
    angles = torch.cat([places[:, [axis]] * 10000.0 ** (-torch.arange(n, dtype=torch.float64) / n)
                        for axis, n in enumerate((pairs - 2 * space, space, space))], 1)
    turned = torch.complex(*x.double().chunk(2, -1)) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], -1).float()


def dit(w, x, timesteps, labels):
    def linear(name, y):
        return F.linear(y, w[f"{name}.weight"], w[f"{name}.bias"])

    def modulated(y, shift, scale):
        y = (y - y.mean(-1, keepdim=True)) / torch.sqrt(y.var(-1, keepdim=True, correction=0) + 1e-6)
        return y * (1 + scale[:, None]) + shift[:, None]

    phases = timesteps[:, None] * torch.exp(-np.log(10000) * torch.arange(128, dtype=torch.float64) / 128).float()
    time = torch.cat([torch.cos(phases), torch.sin(phases)], 1)
    cond = F.silu(linear("time_embed.fc2", F.silu(linear("time_embed.fc1", time))) + w["label_embed"][labels])
    y = linear("embed", x)
    for i in range(DEPTH):
        name = f"blocks.{i}"
        s1, c1, g1, s2, c2, g2 = linear(f"{name}.modulation", cond).chunk(6, 1)
        q, k, v = (p.unflatten(-1, (HEADS, -1)).transpose(1, 2)
                   for p in linear(f"{name}.attn.qkv", modulated(y, s1, c1)).chunk(3, -1))
        scores = rotated(q) @ rotated(k).transpose(-1, -2) / np.sqrt(WIDTH // HEADS)
        y = y + g1[:, None] * linear(f"{name}.attn.proj", (scores.softmax(-1) @ v).transpose(1, 2).flatten(2))
        gate, value = linear(f"{name}.mlp.w12", modulated(y, s2, c2)).chunk(2, -1)
        y = y + g2[:, None] * linear(f"{name}.mlp.w3", F.silu(gate) * value)
    return linear("to_latent", modulated(y, *linear("modulation", cond).chunk(2, 1)))


def alphas_cumprod():
    return np.cumprod(1 - np.linspace(1e-4, 2e-2, 1000, dtype=np.float64))


def network():
    """One forward and backward pass, and the three kinds of noising with the loss of each."""
    w = weights()
    x, noise = formula((BATCH, 6, CHANNELS), 101), formula((BATCH, 6, CHANNELS), 102)
    timesteps, labels = torch.tensor([17.0, 930.0]), torch.tensor([1, CLASSES])
    y = dit(w, x, timesteps, labels)
    loss = ((y - noise) ** 2).mean()
    out = {"y": y, "loss": loss}
    for name, gradient in zip(w, torch.autograd.grad(loss, list(w.values()))):
        out[f"grad.{name}"] = gradient
    share = torch.tensor(alphas_cumprod()[timesteps.long().numpy()])[:, None, None]
    signal, sigma = share.sqrt(), (1 - share).sqrt()
    out["noise.noised"], out["noise.target"] = signal * x + sigma * noise, noise
    out["velocity.noised"], out["velocity.target"] = out["noise.noised"], signal * noise - sigma * x
    time = timesteps.double()[:, None, None] / 1000
    out["flow.noised"], out["flow.target"] = (1 - time) * x + time * noise, noise - x
    return {name: tensor.float() for name, tensor in out.items()}


def stand_in(x, timestep):
    """A prediction that is easy to write twice, and as a trained network's close to x where there is noise alone."""
    share = timestep / 1000
    return x * share + torch.sin(2 * x) * (1 - share) * 0.4


def respaced(count):
    """Timesteps that guided diffusion's space_timesteps(1000, [count]) keeps."""
    stride, place, taken = 999 / (count - 1), 0.0, []
    for _ in range(count):
        taken.append(round(place))
        place += stride
    return taken


def respaced_ddim(count, x):
    """p_sample's DDIM without noise or clipping over respaced betas, as in guided diffusion: float64, numpy."""
    kept, products, last, betas = respaced(count), alphas_cumprod(), 1.0, []
    for step in kept:
        betas.append(1 - products[step] / last)
        last = products[step]
    share = np.cumprod(1 - np.array(betas))
    x = x.double()
    for i in reversed(range(count)):
        noise = stand_in(x, kept[i])
        start = np.sqrt(1 / share[i]) * x - np.sqrt(1 / share[i] - 1) * noise
        noise = (np.sqrt(1 / share[i]) * x - start) / np.sqrt(1 / share[i] - 1)
        before = share[i - 1] if i else 1.0
        x = start * np.sqrt(before) + np.sqrt(1 - before) * noise
    return x


def run(scheduler, x, **timesteps):
    scheduler.set_timesteps(**timesteps)
    used = scheduler.timesteps
    for timestep in used:
        x = scheduler.step(stand_in(x, timestep), timestep, x).prev_sample
    return x, used.double()


def sampling():
    x = formula((1, 5, CHANNELS), 103, 1.5)
    linear = dict(beta_start=1e-4, beta_end=2e-2, beta_schedule="linear")
    out = {"alphas_cumprod": torch.tensor(alphas_cumprod()), "respaced": torch.tensor(respaced(250)).double(),
           "respaced.10": torch.tensor(respaced(10)).double(), "ddim.250": respaced_ddim(250, x), "ddim.10": respaced_ddim(10, x)}
    for prediction, theirs in (("noise", "epsilon"), ("velocity", "v_prediction")):
        ddim = DDIMScheduler(**linear, clip_sample=False, prediction_type=theirs)
        out[f"ddim.{prediction}"], out[f"ddim.{prediction}.timesteps"] = run(ddim, x.double(), num_inference_steps=20)
        solver = DPMSolverMultistepScheduler(**linear, prediction_type=theirs, final_sigmas_type="zero")
        out[f"dpm.{prediction}"], out[f"dpm.{prediction}.timesteps"] = run(
            solver, x.double(), timesteps=respaced(12)[::-1])
    flow = FlowMatchEulerDiscreteScheduler()
    out["flow"], out["flow.timesteps"] = run(flow, x.double(), sigmas=[1 - i / 8 for i in range(8)])
    conditional, unconditional = formula((2, 6, CHANNELS), 104), formula((2, 6, CHANNELS), 105)
    guided = unconditional + 4.0 * (conditional - unconditional)
    spread = [y.flatten(1).double().std(1)[:, None, None] for y in (conditional, guided)]  # Lin et al., 2023, section 3.4
    out["guided"], out["rescaled"] = guided, (0.7 * guided * spread[0] / spread[1] + 0.3 * guided).float()
    return out


FOLDER.mkdir(parents=True, exist_ok=True)
for function in (network, sampling):
    save_file({name: tensor.detach().contiguous() for name, tensor in function().items()}, FOLDER / f"{function.__name__}.safetensors")
