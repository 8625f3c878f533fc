"""Writes test/fixtures/nn/: what PyTorch computes for the engine's random numbers, the layers, AdamW and clipping.

python scripts/make-nn-fixtures.py     (torch 2.13, safetensors; some 50 kB, committed)
The layers are PyTorch's own modules or its functional operators; the rotation is written out with complex numbers,
apart from the implementation under test. Names in the files: <case>.<tensor>.
"""
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import save_file

FOLDER = Path(__file__).parent.parent / "test/fixtures/nn"
torch.manual_seed(0)
torch.set_num_threads(1)


def randoms():
    """One generator a seed: normal (both of libtorch's algorithms, below 16 numbers and from 16 on), then uniform."""
    out = {}
    for seed in (0, 42, 2**40 + 5):
        generator = torch.Generator().manual_seed(seed)
        out[f"seed{seed}.few"] = torch.randn(5, generator=generator)
        out[f"seed{seed}.many"] = torch.randn(3, 7, generator=generator)
        out[f"seed{seed}.uniform"] = torch.rand(4, generator=generator)
        out[f"seed{seed}.double"] = torch.randn(3, generator=generator, dtype=torch.float64)
    return out


def operators():
    x, image = torch.randn(2, 3, 4, 5), torch.randn(1, 2, 7, 6)
    kernel2, kernel3, bias = torch.randn(4, 3, 3, 2), torch.randn(2, 3, 2, 2, 2), torch.randn(4)
    clip, heads = torch.randn(1, 3, 4, 4, 4), torch.randn(3, 1, 2, 5, 4)
    square = torch.randn(4, 4, dtype=torch.float64)
    symmetric = square @ square.T
    resized = dict(size=(5, 9), align_corners=False)
    return {
        "x": x, "image": image, "kernel2": kernel2, "kernel3": kernel3, "bias": bias, "clip": clip, "heads": heads,
        "symmetric": symmetric,
        "conv2d": F.conv2d(x, kernel2, bias, stride=(2, 1), padding=1, dilation=(1, 2)),
        "conv3d": F.conv3d(clip, kernel3, bias[:2], stride=2),
        "conv_transpose3d": F.conv_transpose3d(torch.ones(1, 2, 2, 2, 2), kernel3, bias[:3], stride=2),
        "max_pool2d": F.max_pool2d(image, 3, 2, 1, ceil_mode=True),
        "avg_pool2d": F.avg_pool2d(image, 3, 2, 1, count_include_pad=False),
        "bilinear": F.interpolate(image, mode="bilinear", antialias=False, **resized),
        "bicubic": F.interpolate(image, mode="bicubic", antialias=True, **resized),
        "corners": F.interpolate(image, (5, 9), mode="bilinear", align_corners=True),
        "attention": F.scaled_dot_product_attention(*heads),
        "softmax": x.softmax(2), "log_softmax": x.log_softmax(1), "variance": x.var((0, 2)), "cumsum": x.cumsum(3),
        "eigenvalues": torch.linalg.eigvalsh(symmetric),
    }


def rotated(x, grid, unrotated=0):
    """x [B, heads, N, headDim] turned by the grid's positions: pair k is (x[k], x[k + headDim / 2])."""
    pairs = x.shape[-1] // 2
    space = -(-pairs // 3)
    positions = torch.cartesian_prod(*(torch.arange(n, dtype=torch.float64) for n in grid))
    angles = [positions[:, [axis]] * 10000.0 ** (-torch.arange(n, dtype=torch.float64) / max(n, 1))
              for axis, n in enumerate((pairs - 2 * space, space, space))]
    angles = torch.cat([torch.cat(angles, 1), torch.zeros(unrotated, pairs, dtype=torch.float64)])
    turned = torch.complex(*x.double().chunk(2, -1)) * torch.polar(torch.ones_like(angles), angles)
    return torch.cat([turned.real, turned.imag], -1).float()


def layers():
    grid, batch, width, heads, hidden = (2, 2, 3), 2, 24, 2, 64
    x = torch.randn(batch, 13, width, requires_grad=True)  # 12 tokens of the grid and one that is not rotated
    seed = torch.randn(batch, 13, width)
    qkv, proj = torch.nn.Linear(width, 3 * width), torch.nn.Linear(width, width)
    w12, w3, norm = torch.nn.Linear(width, 2 * hidden), torch.nn.Linear(hidden, width), torch.nn.LayerNorm(width, 1e-6)
    torch.nn.init.normal_(norm.weight), torch.nn.init.normal_(norm.bias)
    modules = {"qkv": qkv, "proj": proj, "w12": w12, "w3": w3, "norm": norm}
    out = {f"{name}.{key}": value.detach() for name, module in modules.items() for key, value in module.state_dict().items()}

    def attention(x):
        q, k, v = (part.unflatten(-1, (heads, -1)).transpose(1, 2) for part in qkv(x).chunk(3, -1))
        mixed = F.scaled_dot_product_attention(rotated(q, grid, 1), rotated(k, grid, 1), v)
        return proj(mixed.transpose(1, 2).flatten(2))

    def swiglu(x):
        gate, value = w12(x).chunk(2, -1)
        return w3(F.silu(gate) * value)

    def block(x):
        x = x + attention(norm(x))
        return x + swiglu(norm(x))

    for name, function in (("norm", norm), ("linear", proj), ("attention", attention), ("swiglu", swiglu), ("block", block)):
        y = function(x)
        out[f"{name}.y"] = y.detach()
        out[f"{name}.grad_x"] = torch.autograd.grad((y * seed).sum(), x)[0]
    q = torch.randn(1, 1, 6, 64)
    return {**out, "x": x.detach(), "seed": seed, "rope.x": q, "rope.y": rotated(q, (1, 2, 3))}


def optimizer(steps=10, warmup=3):
    """AdamW with decay on the matrix only, gradients clipped to norm 1, under warm-up and cosine."""
    matrix, vector = (torch.randn(4, 3).requires_grad_(), torch.randn(3).requires_grad_())
    out = {"matrix.start": matrix.detach().clone(), "vector.start": vector.detach().clone()}
    groups = [{"params": [matrix], "weight_decay": 0.1}, {"params": [vector], "weight_decay": 0.0}]
    adamw = torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.95), eps=1e-8)
    rise = torch.optim.lr_scheduler.LinearLR(adamw, 1 / warmup, 1, warmup - 1)
    fall = torch.optim.lr_scheduler.CosineAnnealingLR(adamw, steps - warmup)
    schedule = torch.optim.lr_scheduler.SequentialLR(adamw, [rise, fall], [warmup])
    norms, rates = [], []
    for step in range(steps):
        matrix.grad, vector.grad = torch.randn(4, 3) * 0.4, torch.randn(3) * 0.4
        out[f"matrix.grad{step}"], out[f"vector.grad{step}"] = matrix.grad.clone(), vector.grad.clone()
        norms.append(torch.nn.utils.clip_grad_norm_([matrix, vector], 1.0))
        rates.append(adamw.param_groups[0]["lr"])
        adamw.step()
        schedule.step()
        out[f"matrix.step{step}"], out[f"vector.step{step}"] = matrix.detach().clone(), vector.detach().clone()
    return {**out, "norms": torch.stack(norms), "rates": torch.tensor(rates, dtype=torch.float64)}


FOLDER.mkdir(parents=True, exist_ok=True)
for function in (randoms, operators, layers, optimizer):
    tensors = {name: tensor.detach().contiguous() for name, tensor in function().items()}
    save_file(tensors, FOLDER / f"{function.__name__}.safetensors")
