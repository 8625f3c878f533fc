"""The PyTorch opponent doing all the work that ours does: its training step with gradient clipping, and more shapes.

python3 torch_anchor_clip.py ANCHOR.py [case ...]   one JSON line a case, with the median, fastest and slowest of the steps.
ANCHOR.py is the opponent's own file (tuned PyTorch: torch.compile, fused AdamW, channels-last, bfloat16); model, losses and
compilation are its own, only the step and its timing are here. With GATE=PATH in the environment a case compiles, frees its
memory and waits for the file PATH.<case>: compiling takes a minute, and other work can go on meanwhile. Clips of S-B/4x8 (16 x 128 x 128) have the token count and
the box size of 512-pixel pictures at p = 16, which stand for them. A case's name with -eager is the same without torch.compile. With
TINY=1 the cases are small and run on the CPU, to try the script.
"""
import importlib
import json
import os
import sys
import time

import torch

# By name and on the path, for torch.compile's own processes import it, too.
folder, file = os.path.split(os.path.abspath(sys.argv[1]))
if not os.path.exists(sys.argv[1]):
    sys.exit(f"Expected the opponent's file, received {sys.argv[1]}, which is not there. scripts/gpu/pack.sh puts it into .gpu/.")
sys.path.insert(0, folder)
os.environ["PYTHONPATH"] = os.pathsep.join([folder, os.environ.get("PYTHONPATH", "")])
anchor = importlib.import_module(file.removesuffix(".py"))
TINY = bool(os.environ.get("TINY"))
DEVICE = "cpu" if TINY else "cuda"


def train(name, enc="S", dec="B", p=16, res=256, batch=64, lpips=True, compiled=True, steps=20):
    if TINY:
        enc, dec, res, batch, steps = "Ti", "Ti", 4 * p, 2, 3
    torch.manual_seed(0)
    model = anchor.ViTok(enc, dec, p, 16, res).to(DEVICE)
    opt = torch.optim.AdamW(model.parameters(), 1e-4, betas=(0.9, 0.95), fused=True)
    x = torch.rand(batch, 3, res, res, device=DEVICE) * 2 - 1
    perc = anchor.Lpips().to(DEVICE).to(memory_format=torch.channels_last) if lpips else None

    def loss(x):
        with torch.autocast(DEVICE, torch.bfloat16):
            y, kl = model(x)
            total = torch.nn.functional.mse_loss(y.float(), x) + 1e-3 * kl
            if not lpips:
                return total
            y, x = (t.to(memory_format=torch.channels_last) for t in (y, x))
            return total + perc(y, x).mean()

    f = torch.compile(loss) if compiled else loss

    def step():
        f(x).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        opt.step()
        opt.zero_grad(set_to_none=True)

    for _ in range(5):
        step()
    wait_for_gate(name)
    if not TINY:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(3):
        step()
    times = []
    for _ in range(steps):
        synchronize()
        started = time.perf_counter()
        step()
        synchronize()
        times.append((time.perf_counter() - started) * 1e3)
    times.sort()
    ms = times[len(times) // 2]
    peak = 0 if TINY else torch.cuda.max_memory_allocated() / 2**20
    return dict(batch=batch, compiled=compiled, ms=round(ms, 3), min=round(times[0], 3), max=round(times[-1], 3),
                imgPerSecond=round(batch / ms * 1e3, 1), peakMib=round(peak))


def synchronize():
    if not TINY:
        torch.cuda.synchronize()


def wait_for_gate(name):
    if "GATE" not in os.environ:
        return
    synchronize()
    torch.cuda.empty_cache()
    open(f"{os.environ['GATE']}.{name}.ready", "w").close()
    while not os.path.exists(f"{os.environ['GATE']}.{name}"):
        time.sleep(0.1)


CASES = {
    "train-lpips": dict(),
    "train": dict(batch=128, lpips=False),
    "clips": dict(batch=16, res=512, lpips=False),
    "p8": dict(batch=32, p=8, lpips=False),
    "large": dict(batch=32, dec="L", lpips=False),
}
CASES |= {f"{name}-eager": options | dict(compiled=False) for name, options in CASES.items()}

if __name__ == "__main__":
    for flag in (torch.backends.cuda.matmul, torch.backends.cudnn):
        flag.allow_tf32 = True
    torch.backends.cudnn.benchmark = True
    for name in sys.argv[2:] or CASES:
        try:
            print(json.dumps(dict(torch=name) | train(name, **CASES[name])), flush=True)
        except Exception as error:  # the next case goes on
            print(json.dumps(dict(torch=name, error=str(error)[:300])), flush=True)
        torch._dynamo.reset()
        torch.cuda.empty_cache()
