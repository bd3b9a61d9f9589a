"""Writes pickled_zip.bin and pickled_old.bin: one small state dict in both formats of torch.save."""

import collections
import pathlib

import torch

here = pathlib.Path(__file__).parent
grid = torch.arange(12, dtype=torch.float32).view(3, 4)
state = collections.OrderedDict(
    {
        "grid": grid,
        "column": grid[:, 1],  # a strided view of the same storage
        "transposed": grid.t(),
        "parameter": torch.nn.Parameter(torch.tensor([0.5, -0.5])),
        "half": torch.tensor([1.5, 2.5], dtype=torch.float16),
        "bfloat": torch.tensor([1.5, -3.0], dtype=torch.bfloat16),
        "count": torch.tensor(7),
        "flags": torch.tensor([True, False, True]),
        "empty": torch.zeros(0, 2),
    }
)
state._metadata = {"": {"version": 1}}
torch.save(state, here / "pickled_zip.bin")
torch.save(state, here / "pickled_old.bin", _use_new_zipfile_serialization=False)
