"""Writes test/fixtures/inception/: features of both Inceptions as torchvision computes them, and a TorchScript module.

python scripts/make-inception-fixtures.py     (torch 2.13, torchvision 0.28, safetensors; committed)
Every number of the weights and of the pictures is a hash of its index and its tensor's name, so the tests make the
same ones without a file. FID's network is torchvision's with its pools replaced and 1008 classes.
"""
import types
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torchvision.models import inception

OUT = Path(__file__).parent.parent / "test/fixtures/inception"
TAPS = {"64": "maxpool1", "192": "maxpool2", "768": "Mixed_6e", "2048": "Mixed_7c"}
torch.set_grad_enabled(False)


def uniform(name, shape):
    """Numbers in [-1, 1): FNV-1a of the name seeds lowbias32 of the index."""
    seed = 2166136261
    for byte in name.encode():
        seed = ((seed ^ byte) * 16777619) % 2**32
    h = np.arange(np.prod(shape), dtype=np.uint32) + np.uint32(seed)
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        h = (h ^ (h >> np.uint32(shift))) * np.uint32(factor)
    h ^= h >> np.uint32(16)
    return torch.from_numpy((h / 2**31 - 1).reshape(shape))


def weight(name, shape):
    u = uniform(name, shape)
    if len(shape) > 1:  # He's bound, so that activations keep their size
        return u * (6 / np.prod(shape[1:])) ** 0.5
    if name.endswith(("bn.weight", "running_var")):
        return 1 + 0.5 * u
    return 0.2 * u


def pictures(height, width):
    return ((uniform("pixels", (2, 3, height, width)) + 1) * 128).floor()


def features(model, x):
    found = {}
    for tap, layer in TAPS.items():
        keep = lambda module, inputs, output, tap=tap: found.update({tap: output.mean((2, 3))})
        getattr(model, layer).register_forward_hook(keep)
    found["logits"] = model(x) - (model.fc.bias if model.fc.out_features == 1008 else 0)
    return found


def build(classes):
    model = inception.Inception3(num_classes=classes, aux_logits=False, init_weights=False).double().eval()
    state = {k: weight(k, v.shape) for k, v in model.state_dict().items() if v.ndim}
    model.load_state_dict(state, strict=False)
    return model


def resize_tensorflow(x):
    """TensorFlow 1's ResizeBilinear with align_corners=False, row by row and column by column."""
    def matrix(size):
        m = torch.zeros(299, size, dtype=torch.float64)
        for i in range(299):
            position = i * size / 299
            low = int(position)
            m[i, low] += 1 - (position - low)
            m[i, min(low + 1, size - 1)] += position - low
        return m
    return matrix(x.shape[2]) @ x @ matrix(x.shape[3]).T


def use_pools_of_2015(model):
    smooth = lambda x, **k: F.avg_pool2d(x, count_include_pad=False, **k)
    pools = types.SimpleNamespace(avg_pool2d=smooth, max_pool2d=F.max_pool2d, relu=F.relu)
    inception.F = pools
    model.Mixed_7c.register_forward_pre_hook(lambda *_: setattr(pools, "avg_pool2d", F.max_pool2d))
    model.Mixed_7c.register_forward_hook(lambda *_: setattr(pools, "avg_pool2d", smooth))


class Module(torch.nn.Module):
    """The signature of inception-2015-12-05.pt; what it computes is a stand-in."""

    def forward(self, img, return_features: bool = False, use_fp16: bool = False, no_output_bias: bool = False):
        mean = img.to(torch.float32).mean([1, 2, 3]).unsqueeze(1)
        if return_features:
            return mean.expand(-1, 2048)
        logits = mean * torch.linspace(0.0, 0.01, 1008)
        return torch.softmax(logits if no_output_bias else logits + torch.linspace(0.0, 1.0, 1008), 1)


OUT.mkdir(parents=True, exist_ok=True)
small, large = pictures(40, 56), pictures(320, 310)
vision = features(build(1000), F.interpolate(small, (299, 299), mode="bilinear", align_corners=True) / 127.5 - 1)
out = {f"torchvision.{tap}": vision[tap] for tap in ("2048", "logits")}
model = build(1008)
use_pools_of_2015(model)
for name, x in (("small", small), ("large", large)):
    found = features(model, (resize_tensorflow(x) - 128) / 128)
    wanted = found if name == "small" else ("64",)  # the input protocol alone
    out |= {f"tensorflow.{name}.{tap}": found[tap] for tap in wanted}
    halfway = F.interpolate(x, (299, 299), mode="bilinear", align_corners=False)
    out |= {f"pytorch.{name}.64": features(model, halfway / 127.5 - 1)["64"]}
save_file({k: v.float().contiguous() for k, v in out.items()}, OUT / "features.safetensors")
torch.jit.script(Module()).save(OUT / "module.pt")
for k, v in sorted(out.items()):
    print(f"{k:28} {tuple(v.shape)} mean {v.mean():.4f} deviation {v.std():.4f} between pictures {(v[0] - v[1]).std():.4f}")
