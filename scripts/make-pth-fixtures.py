"""Writes test/fixtures/pth: one state dict in both of torch.save's formats, and files that must be refused.

python scripts/make-pth-fixtures.py     (torch 2.13; a few kilobytes, committed)
The values follow from their index, so that the test needs no second file with expected numbers.
"""
from argparse import Namespace
from collections import OrderedDict
from pathlib import Path

import torch

folder = Path(__file__).parent.parent / "test/fixtures/pth"
folder.mkdir(parents=True, exist_ok=True)

base = torch.arange(24, dtype=torch.float32).reshape(4, 6)
state = OrderedDict(
    weight=base,
    transposed=base.t(),
    window=base[1:3, 2:5],
    every_other=base.flatten()[1::2],
    expanded=torch.tensor([7.0]).expand(3, 2),
    parameter=torch.nn.Parameter(torch.tensor([1.5, -2.5])),
    scalar=torch.tensor(3, dtype=torch.int64),
    empty=torch.zeros(0, 5),
    half=torch.tensor([0.5, -1.25], dtype=torch.float16),
    bf16=torch.tensor([[1.0], [-3.0]], dtype=torch.bfloat16),
    int64=torch.tensor([2**40, -1], dtype=torch.int64),
    bools=torch.tensor([True, False]),
)
for dtype in (torch.float64, torch.int32, torch.int16, torch.int8, torch.uint8):
    state[str(dtype).removeprefix("torch.")] = torch.arange(3).to(dtype)
state._metadata = OrderedDict({"": {"version": 1}})
checkpoint = {
    "state_dict": state,
    "optimizer": {"state": {0: {"exp_avg": torch.ones(2)}}, "param_groups": [{"lr": 1e-3, "params": [0]}]},
    "layers": [torch.zeros(1), (torch.ones(1),)],
    "step": 2**35,
    "name": "fixture",
    "done": True,
}
torch.save(checkpoint, folder / "zip.pth")
torch.save(checkpoint, folder / "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(checkpoint, folder / "protocol4.pth", pickle_protocol=4)
torch.save({"args": Namespace(lr=1)}, folder / "namespace.pth")
torch.save(torch.nn.Linear(1, 1), folder / "module-legacy.pth", _use_new_zipfile_serialization=False)
