"""Writes test/fixtures/gan.json: StyleGAN2's discriminator, hinge, R1 and LeCam as PyTorch has them, and an average of weights.

python scripts/make-gan-fixtures.py     (torch 2.13; committed)
The network is written from the paper's figure, with modules and padding of PyTorch's own, in float64. Weights and pictures come
from a formula (test/formula.ts), so a gradient is kept as its products with two more tensors of that formula.
"""
import json
import math
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


def formula(shape, k, scale=1.0):
    i = torch.arange(math.prod(shape), dtype=torch.float64)
    values = torch.sin((i + 1) * 12.9898 + k * 78.233) * 43758.5453
    return ((2 * (values - values.floor()) - 1) * scale).float().double().reshape(shape)


class Blur(nn.Module):
    def __init__(self, left, right):
        super().__init__()
        self.pad = nn.ZeroPad2d((left, right, left, right))

    def forward(self, x):
        weight = torch.tensor([1, 3, 3, 1], dtype=x.dtype) / 8
        x = self.pad(x)
        x = sum(w * x[..., i : x.shape[-2] - 3 + i, :] for i, w in enumerate(weight))
        return sum(w * x[..., i : x.shape[-1] - 3 + i] for i, w in enumerate(weight))


class Block(nn.Module):
    def __init__(self, a, b):
        super().__init__()
        self.conv1 = nn.Conv2d(a, a, 3, padding=1)
        self.conv2 = nn.Conv2d(a, b, 3, stride=2)
        self.skip = nn.Conv2d(a, b, 1, stride=2, bias=False)
        self.main_blur, self.skip_blur = Blur(2, 2), Blur(1, 1)

    def forward(self, x):
        act = nn.LeakyReLU(0.2)
        y = act(self.conv2(self.main_blur(act(self.conv1(x)))))
        return (y + self.skip(self.skip_blur(x))) / math.sqrt(2)


class Discriminator(nn.Module):
    def __init__(self, size, share):
        super().__init__()
        table = {4: 512, 8: 512, 16: 512, 32: 512, 64: 256, 128: 128, 256: 64, 512: 32}
        width = {side: int(channels * share) for side, channels in table.items()}
        self.from_rgb = nn.Conv2d(3, width[size], 3, padding=1)
        sides = [side for side in sorted(table, reverse=True) if 8 <= side <= size]
        self.blocks = nn.ModuleList(Block(width[side], width[side // 2]) for side in sides)
        self.final = nn.Conv2d(width[4], width[4], 3, padding=1)
        self.hidden = nn.Linear(width[4] * 16, width[4])
        self.logit = nn.Linear(width[4], 1)

    def forward(self, x):
        act = nn.LeakyReLU(0.2)
        x = act(self.from_rgb(x))
        for block in self.blocks:
            x = block(x)
        x = act(self.hidden(act(self.final(x)).flatten(1)))
        return self.logit(x)[:, 0]


def products(gradient):
    return [(gradient * formula(gradient.shape, k)).sum().item() for k in (900, 901)] + [gradient.norm().item()]


def gradients(loss, network, pixels):
    named = list(network.named_parameters())
    found = torch.autograd.grad(loss, [pixels] + [p for _, p in named], allow_unused=True, retain_graph=True)
    names = ["pixels"] + [name for name, _ in named]
    return {name: products(g) for name, g in zip(names, found) if g is not None}


size, share, n = 64, 1 / 32, 3
network = Discriminator(size, share).double()
for k, (name, parameter) in enumerate(network.named_parameters()):
    fan_in = math.prod(parameter.shape[1:]) or 1
    parameter.data = formula(parameter.shape, k, 3 / math.sqrt(fan_in) if name.endswith("weight") else 0.2)
network.logit.bias.data.fill_(-2.8)  # so that some logits are beyond the hinge and others are not
real = formula((n, 3, size, size), 500).requires_grad_()
fake = formula((n, 3, size, size), 501).requires_grad_()
real_logits, fake_logits = network(real), network(fake)
hinge = (F.relu(1 - real_logits).mean() + F.relu(1 + fake_logits).mean()) / 2
slope = torch.autograd.grad(real_logits.sum(), real, create_graph=True)[0]
r1 = slope.pow(2).flatten(1).sum(1).mean() / 2
anchors = {"real": 0.3, "fake": -0.2}
lecam = F.relu(real_logits - anchors["fake"]).pow(2).mean() + F.relu(anchors["real"] - fake_logits).pow(2).mean()

average, weights = formula((5,), 1), [formula((5,), k) for k in (2, 3, 4)]
steps = []
for t, weight in enumerate(weights):
    decay = min(0.9999, (1 + t) / (10 + t))
    average = decay * average + (1 - decay) * weight
    steps.append(average.tolist())

out = {
    "network": {"size": size, "width": share, "count": n},
    "parameters": {name: list(p.shape) for name, p in network.named_parameters()},
    "logits": {"real": real_logits.tolist(), "fake": fake_logits.tolist()},
    "adversarial": {"value": -fake_logits.mean().item(), "gradients": gradients(-fake_logits.mean(), network, fake)},
    "hinge": {"value": hinge.item(), "gradients": gradients(hinge, network, fake)},
    "r1": {"value": r1.item(), "gradients": gradients(r1, network, real)},
    "lecam": {"value": lecam.item(), "gradients": gradients(lecam, network, fake), "anchors": anchors},
    "ema": steps,
}
path = Path(__file__).parent.parent / "test/fixtures/gan.json"
path.write_text(json.dumps(out, indent=1) + "\n")
print(path.stat().st_size, out["logits"], r1.item(), hinge.item())
