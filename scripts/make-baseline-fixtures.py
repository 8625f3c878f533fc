"""Writes test/fixtures/baselines: tiny ViTok-v2 and AutoencoderKL models of random weights, with inputs and outputs.

python scripts/make-baseline-fixtures.py     (torch 2.13, diffusers 0.33, safetensors; about 450 kB, committed)
ViTok-v2 is computed here from its description, by complex rotations and a written-out softmax, not by its own code;
AutoencoderKL by diffusers itself, in the layouts of SD (quantisation convolutions), SDXL and Flux (without).
"""
import json
from pathlib import Path

import torch
from safetensors.torch import save_file

folder = Path(__file__).parent.parent / "test/fixtures/baselines"


def random_weights(shapes, seed):
    generator = torch.Generator().manual_seed(seed)
    return {name: 0.25 * torch.randn(shape, generator=generator) + (1.0 if "norm" in name else 0.0) for name, shape in shapes.items()}


# ---- ViTok-v2: width, heads, hidden and depth of the two towers
p, c = 4, 6
towers = {"encoder": (16, 2, 48, 2), "decoder": (24, 3, 64, 3)}


def v2_shapes():
    shapes = {}
    for tower, (width, heads, hidden, depth) in towers.items():
        for i in range(depth):
            at = f"{tower}_blocks.{i}."
            shapes[at + "norm1.weight"] = (width,)
            shapes[at + "attn.norm_q.weight"] = shapes[at + "attn.norm_k.weight"] = (width // heads,)
            shapes[at + "attn.qkv_proj.weight"] = (3 * width, width)
            shapes[at + "attn.out_proj.weight"] = (width, width)
            shapes[at + "ffn.fc1.weight"] = (2 * hidden, width)
            shapes[at + "ffn.fc2.weight"] = (width, hidden)
            shapes[at + "layer_scale.gamma"] = (width,)
    for name, (n_out, n_in) in {"patch_embed": (16, 3 * p * p), "to_code": (c, 16), "decoder_embed": (24, c), "to_pixels": (3 * p * p, 24)}.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (n_out, n_in), (n_out,)
    return shapes


def rms(x, weight):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + 1e-6) * weight


def run_tower(weights, tower, x, row, column, seen):
    width, heads, hidden, depth = towers[tower]
    d = width // heads
    frequency = 10000.0 ** (-torch.arange(d // 4) / (d // 4))
    angle = torch.cat([row[..., None] * frequency, column[..., None] * frequency], -1)  # [B, N, d/2]
    turn = torch.polar(torch.ones_like(angle), angle)[:, :, None]
    for i in range(depth):
        w = {k.removeprefix(f"{tower}_blocks.{i}."): v for k, v in weights.items() if k.startswith(f"{tower}_blocks.{i}.")}
        h = rms(x, w["norm1.weight"])
        q, k, v = torch.einsum("bnd,sed->sbne", h, w["attn.qkv_proj.weight"].view(3, width, width)).view(3, *x.shape[:2], heads, d)
        q, k = (torch.view_as_real(torch.view_as_complex(rms(y, g).reshape(*y.shape[:-1], -1, 2)) * turn).flatten(-2)
                for y, g in ((q, w["attn.norm_q.weight"]), (k, w["attn.norm_k.weight"])))
        score = torch.einsum("bqhd,bkhd->bhqk", q, k) / d**0.5
        weight = score.masked_fill(~seen[:, None], float("-inf")).softmax(-1)
        attended = torch.einsum("bhqk,bkhd->bqhd", weight, v).reshape(x.shape) @ w["attn.out_proj.weight"].T
        value, gate = (h @ w["ffn.fc1.weight"].T).split(hidden, -1)
        mlp = (value * gate * torch.sigmoid(gate)) @ w["ffn.fc2.weight"].T
        x = x + w["layer_scale.gamma"] * (attended + mlp)
    return x


def v2(weights, patches, row, column, seen):
    x = patches @ weights["patch_embed.weight"].T + weights["patch_embed.bias"]
    code = run_tower(weights, "encoder", x, row, column, seen) @ weights["to_code.weight"].T + weights["to_code.bias"]
    code = (code - code.mean(-1, keepdim=True)) / torch.sqrt(code.var(-1, unbiased=False, keepdim=True) + 1e-6)
    x = code @ weights["decoder_embed.weight"].T + weights["decoder_embed.bias"]
    x = run_tower(weights, "decoder", x, row, column, seen)
    return code, x @ weights["to_pixels.weight"].T + weights["to_pixels.bias"]


def cut(picture):  # [3, H, W] with grey up to whole patches -> patches, rows, columns
    _, height, width = picture.shape
    rows, columns = -(-height // p), -(-width // p)
    whole = torch.zeros(3, rows * p, columns * p)
    whole[:, :height, :width] = picture
    patches = [whole[:, y * p:(y + 1) * p, x * p:(x + 1) * p].flatten() for y in range(rows) for x in range(columns)]
    at = torch.tensor([[y, x] for y in range(rows) for x in range(columns)], dtype=torch.float32)
    return torch.stack(patches), at[:, 0], at[:, 1]


def make_v2():
    out = folder / "vitok-v2"
    out.mkdir(parents=True, exist_ok=True)
    weights = random_weights(v2_shapes(), 0)
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    generator = torch.Generator().manual_seed(1)
    golden = {}
    pictures = [torch.rand(3, h, w, generator=generator) * 2 - 1 for h, w in ((12, 8), (9, 14), (4, 4))]
    length = 14
    tokens, rows, columns = torch.zeros(3, length, 3 * p * p), torch.zeros(3, length), torch.zeros(3, length)
    seen = torch.eye(length, dtype=torch.bool).repeat(3, 1, 1)
    for i, picture in enumerate(pictures):
        patches, row, column = cut(picture)
        n = len(row)
        tokens[i, :n], rows[i, :n], columns[i, :n], seen[i, :n, :n] = patches, row, column, True
        golden[f"picture.{i}"] = picture
        alone = v2(weights, patches[None], row[None], column[None], torch.ones(1, n, n, dtype=torch.bool))
        golden[f"code.{i}"], golden[f"patches.{i}"] = alone[0][0].contiguous(), alone[1][0].contiguous()
    code, patches = v2(weights, tokens, rows, columns, seen)
    golden |= {"batch.tokens": tokens, "batch.code": code, "batch.patches": patches}
    save_file({k: v.contiguous() for k, v in golden.items()}, out / "golden.safetensors")


def make_kl(name, **options):
    from diffusers import AutoencoderKL

    torch.manual_seed(2)
    model = AutoencoderKL(
        down_block_types=["DownEncoderBlock2D"] * 3, up_block_types=["UpDecoderBlock2D"] * 3, block_out_channels=[4, 4, 8],
        norm_num_groups=2, sample_size=32, **options,
    ).eval()
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in model.parameters():  # the initial ones leave half of the network near zero
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    out = folder / name
    model.save_pretrained(out)
    pixels = torch.rand(2, 3, 16, 24, generator=generator) * 2 - 1
    with torch.no_grad():
        posterior = model.encode(pixels).latent_dist
        recon = model.decode(posterior.mode()).sample
    save_file({"pixels": pixels, "mean": posterior.mean.contiguous(), "logvar": posterior.logvar.contiguous(), "recon": recon}, out / "golden.safetensors")


make_v2()
make_kl("sd", latent_channels=4, layers_per_block=1, scaling_factor=0.18215)
make_kl("flux", latent_channels=6, layers_per_block=2, scaling_factor=0.3611, shift_factor=0.1159, use_quant_conv=False, use_post_quant_conv=False)
make_kl("no-attention", latent_channels=4, layers_per_block=1, mid_block_add_attention=False)
