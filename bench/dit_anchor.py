"""What a user would pick instead: the same Diffusion Transformer in tuned PyTorch, a training step and 50 steps of sampling.

python bench/dit_anchor.py DEVICE [case ...]   prints one JSON line per case, with the median of the timed steps.
Measure this and the project in the same run on the same machine, and quote the ratio: scripts/gpu/dit-bench.mjs.
Training: bfloat16 autocast, fused AdamW, gradient norm clipped, moving average by foreach. Sampling: bfloat16 weights, guided.
Attention by flash or cuDNN, whichever is faster at the shape. With GATE=PATH a case compiles, says so by PATH.CASE.ready, and is
timed once PATH.CASE is there: so compiling and the other side's measuring may overlap.
"""
import json, math, os, sys, time
import torch, torch.nn as nn, torch.nn.functional as F

SIZES = {"S": (384, 12, 6), "L": (1024, 24, 16), "XL": (1152, 28, 16), "tiny": (48, 2, 4)}


def angles(side, hd):
    n = hd // 2; s = math.ceil(n / 3)
    f = 10000.0 ** (-torch.arange(s) / s)
    y, x = torch.arange(side)[:, None, None] * f, torch.arange(side)[None, :, None] * f
    a = torch.cat((torch.zeros(side, side, n - 2 * s), y.expand(side, side, s), x.expand(side, side, s)), -1).reshape(side * side, n)
    return a.cos(), a.sin()


def rotate(x, cos, sin):
    a, b = x.float().chunk(2, -1)
    return torch.cat((a * cos - b * sin, a * sin + b * cos), -1).to(x.dtype)


def modulate(x, shift, scale):
    return F.layer_norm(x, x.shape[-1:], eps=1e-6) * (1 + scale) + shift


class Block(nn.Module):
    def __init__(s, d, h):
        super().__init__(); m = round(d * 8 / 3 / 16) * 16; s.h = h
        s.qkv, s.o, s.w12, s.w3, s.mod = nn.Linear(d, 3 * d), nn.Linear(d, d), nn.Linear(d, 2 * m), nn.Linear(m, d), nn.Linear(d, 6 * d)

    def forward(s, x, c, cos, sin):
        b, n, d = x.shape
        s1, c1, g1, s2, c2, g2 = s.mod(c).unsqueeze(1).chunk(6, -1)
        q, k, v = s.qkv(modulate(x, s1, c1)).view(b, n, 3, s.h, d // s.h).permute(2, 0, 3, 1, 4)
        a = F.scaled_dot_product_attention(rotate(q, cos, sin), rotate(k, cos, sin), v)
        x = x + g1 * s.o(a.transpose(1, 2).reshape(b, n, d))
        g, u = s.w12(modulate(x, s2, c2)).chunk(2, -1)
        return x + g2 * s.w3(F.silu(g) * u)


class Dit(nn.Module):
    def __init__(s, size, side, channels=16, classes=1000):
        super().__init__(); d, n, h = SIZES[size]
        s.embed, s.t1, s.t2, s.y = nn.Linear(channels, d), nn.Linear(256, d), nn.Linear(d, d), nn.Embedding(classes + 1, d)
        s.blocks = nn.ModuleList(Block(d, h) for _ in range(n)); s.mod, s.out = nn.Linear(d, 2 * d), nn.Linear(d, channels)
        for k, v in zip(("cos", "sin"), angles(side, d // h)): s.register_buffer(k, v)
        s.register_buffer("f", 10000.0 ** (-torch.arange(128) / 128))

    def forward(s, x, t, y):
        p = t[:, None] * s.f
        c = F.silu(s.t2(F.silu(s.t1(torch.cat((p.cos(), p.sin()), -1).to(s.t1.weight.dtype)))) + s.y(y))
        x = s.embed(x.to(s.embed.weight.dtype))
        for k in s.blocks: x = k(x, c, s.cos, s.sin)
        return s.out(modulate(x, *s.mod(c).unsqueeze(1).chunk(2, -1))).float()


def choose_attention(dev, size, batch, side, learns):
    """The faster of the two kernels at a case's shape stays on, the other is turned off."""
    if dev != "cuda": return "default"
    d, _, h = SIZES[size]; times = {}
    q, k, v = (torch.randn(batch, h, side * side, d // h, device=dev, dtype=torch.bfloat16, requires_grad=learns) for _ in range(3))
    switches = {"flash": torch.backends.cuda.enable_flash_sdp, "cudnn": torch.backends.cuda.enable_cudnn_sdp}
    for name in switches:
        for other, switch in switches.items(): switch(other == name)

        def run():
            out = F.scaled_dot_product_attention(q, k, v)
            if learns: out.sum().backward()

        times[name] = bench(run, dev, 10, 3)
    best = min(times, key=times.get)
    for other, switch in switches.items(): switch(other == best)
    return best


def wait_for_gate(name):
    if "GATE" not in os.environ: return
    if torch.cuda.is_available(): torch.cuda.synchronize(); torch.cuda.empty_cache()
    open(f"{os.environ['GATE']}.{name}.ready", "w").close()
    while not os.path.exists(f"{os.environ['GATE']}.{name}"): time.sleep(0.1)


def bench(f, dev, n, warm, gate=None):
    ts = []
    if gate: f(); f(); wait_for_gate(gate)
    for i in range(warm + n):
        if dev == "cuda": torch.cuda.synchronize()
        t = time.perf_counter(); f()
        if dev == "cuda": torch.cuda.synchronize()
        if i >= warm: ts.append((time.perf_counter() - t) * 1e3)
    return sorted(ts)[len(ts) // 2]


def train(name, dev, size, batch, side=16, compiled=True):
    attention = choose_attention(dev, size, batch, side, True)
    torch.manual_seed(0); m = Dit(size, side).to(dev); average = [p.detach().clone() for p in m.parameters()]
    opt = torch.optim.AdamW(m.parameters(), 1e-4, betas=(0.9, 0.999), weight_decay=0, fused=dev == "cuda")
    x, noise = torch.randn(2, batch, side * side, 16, device=dev); t = torch.randint(1000, (batch,), device=dev).float()
    y = torch.randint(1001, (batch,), device=dev); a = torch.rand(batch, 1, 1, device=dev)

    def loss(x, noise, a, t, y):
        with torch.autocast(dev, torch.bfloat16): e = m(a.sqrt() * x + (1 - a).sqrt() * noise, t, y)
        return F.mse_loss(e, noise)

    f = torch.compile(loss) if compiled else loss

    def step():
        f(x, noise, a, t, y).backward(); torch.nn.utils.clip_grad_norm_(m.parameters(), 1.0, foreach=True)
        opt.step(); opt.zero_grad(set_to_none=True)
        with torch.no_grad(): torch._foreach_lerp_(average, [p.detach() for p in m.parameters()], 1e-4)

    ms = bench(step, dev, *((20, 4) if dev == "cuda" else (2, 1)), gate=name)
    return dict(case="train", size=size, attention=attention, batch=batch, tokens=side * side, compiled=compiled, ms=round(ms, 2), img_s=round(batch / ms * 1e3, 2))


def sample(name, dev, size, batch, side=16, steps=50, compiled=True):
    """DDIM with guidance: two passes a step as one batch, bfloat16 weights, tables in float32."""
    attention = choose_attention(dev, size, 2 * batch, side, False)
    torch.manual_seed(0); m = Dit(size, side).to(dev); tables = [b.clone() for b in m.buffers()]
    m = m.to(torch.bfloat16).eval()
    for (key, _), table in zip(list(m.named_buffers()), tables): setattr(m, key, table)
    share = torch.cumprod(1 - torch.linspace(1e-4, 2e-2, 1000, dtype=torch.float64), 0)
    times = [round(i * 999 / (steps - 1)) for i in range(steps)][::-1]
    y = torch.cat((torch.randint(1000, (batch,), device=dev), torch.full((batch,), 1000, device=dev)))
    f = torch.compile(m) if compiled else m

    @torch.no_grad()
    def run():
        x = torch.randn(batch, side * side, 16, device=dev)
        for t, u in zip(times, times[1:] + [None]):
            c, n = f(torch.cat((x, x)), torch.full((2 * batch,), float(t), device=dev), y).chunk(2)
            e = n + 1.5 * (c - n); a, b = share[t].item(), 1.0 if u is None else share[u].item()
            x = (b / a) ** 0.5 * (x - (1 - a) ** 0.5 * e) + (1 - b) ** 0.5 * e
        return x

    ms = bench(run, dev, *((3, 0) if dev == "cuda" else (1, 1)), gate=name)
    return dict(case="sample", size=size, attention=attention, batch=batch, tokens=side * side, steps=steps, compiled=compiled, ms=round(ms, 2), img_s=round(batch / ms * 1e3, 3))


CASES = {
    "cuda": {f"{kind.__name__}-{size}": (kind, (size, 64)) for kind in (train, sample) for size in ("L", "XL")},
    "cpu": {"train-tiny": (train, ("tiny", 4, 4, False)), "sample-tiny": (sample, ("tiny", 2, 4, 4, False))},
}

if __name__ == "__main__":
    dev = sys.argv[1]
    if dev == "cuda": torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
    for name in sys.argv[2:] or CASES[dev]:
        kind, options = CASES[dev][name]
        print(json.dumps(dict(name=name) | kind(name, dev, *options)), flush=True)
        if dev == "cuda": torch.cuda.empty_cache(); torch._dynamo.reset()
