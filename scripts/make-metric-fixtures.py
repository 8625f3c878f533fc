"""Writes test/fixtures/metrics.json, i3d.json, i3d-module.pt and npz/: metrics on features as numpy, scipy and torchmetrics have them.

python scripts/make-metric-fixtures.py     (torch 2.13, torchmetrics 1.9, scipy 1.17, numpy 2; committed)
Element i of the k-th tensor is a hash of i and k in (-1, 1) times a scale, so the tests make the same numbers without a
file. I3D is written out here, in PyTorch, from the paper's table and TensorFlow's padding rule.
"""
import json
import math
from pathlib import Path

import numpy as np
import scipy.linalg
import torch
import torch.nn.functional as F
from torchmetrics.functional.image import multiscale_structural_similarity_index_measure as ms_ssim
from torchmetrics.functional.image import structural_similarity_index_measure as ssim
from torchmetrics.image.kid import poly_mmd

FIXTURES = Path(__file__).parent.parent / "test/fixtures"


def formula(shape, k, scale=1.0):
    i = np.arange(math.prod(shape), dtype=np.float64) + 1
    h = np.sin(i * 12.9898 + k * 78.233) * 43758.5453
    return ((2 * (h - np.floor(h)) - 1) * scale).astype(np.float32).reshape(shape)


def features(n, k, shift=0.0):
    """[n, 24], correlated, in float64."""
    return formula((n, 24), k).astype(np.float64) @ formula((24, 24), 1).astype(np.float64) + shift


def frechet_sqrtm(a, b):
    s1, s2 = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(s1 @ s2).real
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(s1 + s2 - 2 * root))


def frechet_singular(a, b):
    """Of any n: the trace of the root is the sum of the singular values of the centred features' product."""
    x, y = ((f - f.mean(0)) / math.sqrt(len(f) - 1) for f in (a, b))
    root = np.linalg.svd(x @ y.T, compute_uv=False).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + (x**2).sum() + (y**2).sum() - 2 * root)


def inception_score(logits, splits):
    x = logits.astype(np.float64)
    p = np.exp(x - x.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    scores = []
    for i in range(splits):
        part = p[i * len(p) // splits : (i + 1) * len(p) // splits]
        scores.append(math.exp((part * (np.log(part) - np.log(part.mean(0)))).sum(1).mean()))
    return {"mean": float(np.mean(scores)), "deviation": float(np.std(scores))}


def within(points, centres, k):
    own = np.sort(np.linalg.norm(centres[:, None] - centres[None], axis=2), axis=1)[:, k]
    return float((np.linalg.norm(points[:, None] - centres[None], axis=2) <= own).any(1).mean())


def ms_ssim_valid(a, b):
    crop = lambda maps: maps[..., 5:-5, 5:-5]
    product = 1.0
    for scale, weight in enumerate((0.0448, 0.2856, 0.3001, 0.2363, 0.1333)):
        if scale == 4:
            _, full = ssim(a, b, data_range=255.0, sigma=1.5, return_full_image=True)
            return (product * crop(full).mean() ** weight).item()
        _, contrast = ssim(a, b, data_range=255.0, sigma=1.5, return_contrast_sensitivity=True)
        product *= contrast.clamp(min=0).mean() ** weight
        a, b = F.avg_pool2d(a, 2), F.avg_pool2d(b, 2)


def i3d_forward(clips, eps):
    """Clips [B, 3, T, 224, 224] in [-1, 1] -> logits [B, 400], weights from the formula in the network's order."""
    counter = iter(range(100, 10_000))
    draw = lambda shape, scale: torch.from_numpy(formula(shape, next(counter), scale))

    def same(x, kernel, stride):
        pads = []
        for size, k, s in reversed(list(zip(x.shape[2:], kernel, stride))):
            total = max((-(-size // s) - 1) * s + k - size, 0)
            pads += [total // 2, total - total // 2]
        return F.pad(x, pads)

    def unit(x, out, k=1, stride=1):
        w = draw((out, x.shape[1], k, k, k), math.sqrt(6 / (x.shape[1] * k**3)))
        gamma, beta, mean, var = 1 + draw((out,), 0.2), draw((out,), 0.1), draw((out,), 0.1), 1 + draw((out,), 0.5)
        x = F.conv3d(same(x, (k,) * 3, (stride,) * 3), w, stride=stride)
        return F.relu(F.batch_norm(x, mean, var, gamma, beta, eps=eps))

    def pool(x, kernel, stride):
        return F.max_pool3d(same(x, kernel, stride), kernel, stride)

    def mixed(x, b0, b1a, b1b, b2a, b2b, b3b):
        first = unit(x, b0)
        second = unit(unit(x, b1a), b1b, 3)
        third = unit(unit(x, b2a), b2b, 3)
        return torch.cat((first, second, third, unit(pool(x, (3, 3, 3), (1, 1, 1)), b3b)), 1)

    x = pool(unit(clips, 64, 7, 2), (1, 3, 3), (1, 2, 2))
    x = pool(unit(unit(x, 64), 192, 3), (1, 3, 3), (1, 2, 2))
    x = mixed(mixed(x, 64, 96, 128, 16, 32, 32), 128, 128, 192, 32, 96, 64)
    x = mixed(pool(x, (3, 3, 3), (2, 2, 2)), 192, 96, 208, 16, 48, 64)
    x = mixed(mixed(x, 160, 112, 224, 24, 64, 64), 128, 128, 256, 24, 64, 64)
    x = mixed(mixed(x, 112, 144, 288, 32, 64, 64), 256, 160, 320, 32, 128, 128)
    x = mixed(pool(x, (2, 2, 2), (2, 2, 2)), 256, 160, 320, 32, 128, 128)
    x = F.avg_pool3d(mixed(x, 384, 192, 384, 48, 128, 128), (2, 7, 7), 1)
    w = draw((400, 1024, 1, 1, 1), 0.2)
    return F.conv3d(x, w, draw((400,), 1.0)).squeeze(4).squeeze(3).mean(2)


def clips(count, k, size):
    """Whole numbers 0..255, [count, 3, 10, height, width]; each clip has its own colours."""
    tint = formula((count, 3, 1, 1, 1), k + 1, 60)
    return torch.from_numpy(np.round(formula((count, 3, 10, *size), k, 60) + tint + 127.5))


def stylegan(x):
    x = F.interpolate(x.transpose(1, 2).flatten(0, 1), (224, 224), mode="bilinear").unflatten(0, x.shape[::2][:2])
    return x.transpose(1, 2) / 127.5 - 1


def videogpt(x):
    h, w = x.shape[3:]
    size = (224, math.ceil(w * 224 / h)) if h < w else (math.ceil(h * 224 / w), 224)
    frames = torch.stack([F.interpolate(clip.transpose(0, 1), size, mode="bilinear") for clip in x]).transpose(1, 2)
    top, left = (size[0] - 224) // 2, (size[1] - 224) // 2
    return frames[..., top : top + 224, left : left + 224] / 127.5 - 1


class Module(torch.nn.Module):
    """StyleGAN-V's TorchScript module as it looks from outside; its logits are three colours over 400 classes."""

    def forward(self, x, rescale: bool = True, resize: bool = True, return_features: bool = False):
        if rescale or resize or not return_features:
            return x
        return x.mean((2, 3, 4)).repeat(1, 134)[:, :400]


def main():
    out = {}
    a, b = features(300, 2), features(200, 3, 0.25)
    few, fewer = features(20, 4), features(9, 5, 0.5)
    out["frechet"] = {"sqrtm": frechet_sqrtm(a, b), "singular": frechet_singular(few, fewer)}
    assert abs(out["frechet"]["sqrtm"] - frechet_singular(a, b)) < 1e-9
    logits = formula((103, 17), 6, 4.0)
    order = np.random.RandomState(2020).permutation(103)
    out["inceptionScore"] = {
        "listed": inception_score(logits, 10), "halves": inception_score(logits, 2), "whole": inception_score(logits, 1),
        "shuffled": inception_score(logits[order], 10)}
    out["permutation"] = np.random.RandomState(2020).permutation(1500)[[0, 1, 2, 3, 750, 1498, 1499]].tolist()
    x, y = (torch.from_numpy(f) for f in (a, b[:150]))
    out["kernelDistance"] = poly_mmd(x[:150], y).item()
    out["precisionRecall"] = {"precision": within(b, a, 3), "recall": within(a, b, 3)}
    p, q = (torch.from_numpy(np.round(formula((2, 3, 180, 196), k, 90) + 127.5)).double() for k in (7, 8))
    q = 0.7 * p + 0.3 * q
    default = ms_ssim(p, q, data_range=255.0, reduction="none").tolist()
    out["msSsim"] = {"reflect": default, "valid": [ms_ssim_valid(p[i : i + 1], q[i : i + 1]) for i in (0, 1)]}
    (FIXTURES / "metrics.json").write_text(json.dumps(out, indent=2) + "\n")

    with torch.no_grad():
        real, fake = (i3d_forward(stylegan(clips(4, k, (40, 48))), 1e-3).numpy() for k in (20, 30))
        wide, tall = (i3d_forward(videogpt(clips(1, 40, size)), 1e-5).numpy() for size in ((36, 50), (50, 37)))
    rounded = lambda x: [float(f"{v:.7g}") for v in x.ravel()]
    i3d = {"fvd": frechet_singular(real.astype(np.float64), fake.astype(np.float64)),
           "inceptionScore": inception_score(np.concatenate((real, fake)), 2),
           "real": rounded(real), "videogpt": {"wide": rounded(wide[:, ::10]), "tall": rounded(tall[:, ::10])}}
    (FIXTURES / "i3d.json").write_text(json.dumps(i3d) + "\n")

    torch.jit.script(Module()).save(FIXTURES / "i3d-module.pt")

    folder = FIXTURES / "npz"
    folder.mkdir(exist_ok=True)
    np.savez(folder / "statistics.npz", mu=a.mean(0), sigma=np.cov(a, rowvar=False))
    grid = np.arange(6, dtype=np.float32).reshape(2, 3)
    np.savez_compressed(
        folder / "arrays.npz", rows=grid, columns=np.asfortranarray(grid), long=np.arange(3), scalar=np.float64(1.5),
        empty=np.zeros((0, 4)), bytes=np.arange(4, dtype=np.uint8), half=grid.astype(np.float16), text=np.array("crop \u00d7 2"))
    np.savez(folder / "unread.npz", pickled=np.array([{}], dtype=object), big=np.arange(3, dtype=">f8"), words=np.array(["a", "b"]))
    print(json.dumps(out, indent=1), i3d["fvd"], i3d["inceptionScore"], real[:, :4], fake[:, :4])


main()
