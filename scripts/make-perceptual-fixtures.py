"""Writes test/fixtures/perceptual.json: LPIPS and SSIM as PyTorch, torchvision and torchmetrics have them.

python scripts/make-perceptual-fixtures.py     (torch 2.13, torchvision 0.28, torchmetrics 1.9; committed)
Element i of the k-th tensor is sin(0.7 i + k) times a scale, so the tests make the same weights and pictures
without a file. The trunks run as torchvision builds them; the distance is written out here.
"""
import json
import math
from pathlib import Path

import torch
import torchvision
from torchmetrics.functional.image import structural_similarity_index_measure

TAPS = {"vgg": (3, 8, 15, 22, 29), "alex": (1, 4, 7, 9, 11), "squeeze": (1, 4, 7, 9, 10, 11, 12)}
MODELS = {"vgg": "vgg16", "alex": "alexnet", "squeeze": "squeezenet1_1"}


def formula(shape, k, scale):
    values = torch.sin(0.7 * torch.arange(math.prod(shape), dtype=torch.float64) + k) * scale
    return values.reshape(shape).float()


def pixels(batch, k):
    return formula((batch, 3, 48, 40), k, 1.0)


def distance(trunk, a, b):
    model = getattr(torchvision.models, MODELS[trunk])(weights=None).eval()
    for k, (name, parameter) in enumerate(model.features.named_parameters()):
        fan_in = math.prod(parameter.shape[1:]) or 1
        scale = 2 / math.sqrt(fan_in) if name.endswith("weight") else 0.1
        parameter.data = formula(parameter.shape, k, scale)
    shift = torch.tensor([-0.030, -0.088, -0.188]).view(1, 3, 1, 1)
    scale = torch.tensor([0.458, 0.448, 0.450]).view(1, 3, 1, 1)
    x, y, total, tap = (a - shift) / scale, (b - shift) / scale, 0, 0
    for index, layer in enumerate(model.features[: TAPS[trunk][-1] + 1]):
        x, y = layer(x), layer(y)
        if index not in TAPS[trunk]:
            continue
        unit = lambda f: f / (f.square().sum(1, keepdim=True).sqrt() + 1e-10)
        head = formula((1, x.shape[1], 1, 1), tap, 1.0).abs()
        total = total + ((unit(x) - unit(y)).square() * head).sum(1).mean((1, 2))
        tap += 1
    return total


out = {}
for trunk in TAPS:
    a, b = pixels(2, 1.0).requires_grad_(), pixels(2, 2.5)
    value = distance(trunk, a, b)
    value.sum().backward()
    out[trunk] = {"distance": value.tolist(), "gradNorm": a.grad.norm().item()}

# SSIM of whole numbers 0..255: over one mirrored window a pixel, and over the windows within the picture
a, b = (((pixels(1, k) + 1) * 127.5).round().double() for k in (1.0, 1.5))
mean, windows = structural_similarity_index_measure(a, b, data_range=255.0, sigma=1.5, return_full_image=True)
out["ssim"] = {"reflect": mean.item(), "valid": windows[..., 5:-5, 5:-5].mean().item()}

path = Path(__file__).parent.parent / "test/fixtures/perceptual.json"
path.write_text(json.dumps(out, indent=2) + "\n")
print(path.read_text())
