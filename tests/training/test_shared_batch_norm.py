"""BatchNorm over the rows of two processes, also in compiled code."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from occlufacediff.training.parallel import share_batch_statistics

ROWS, CHANNELS, FRAMES = 8, 3, 5


def gradient(network: nn.Module, rows: slice) -> torch.Tensor:
    """Gradient of the input (rows, C, T) for a loss over all rows."""
    generator = torch.Generator().manual_seed(1)
    x, weights = torch.randn(2, ROWS, CHANNELS, FRAMES, generator=generator)
    own = x[rows].clone().requires_grad_()
    (network(own) * weights[rows]).sum().backward()
    assert own.grad is not None
    return own.grad


def in_process(process: int, folder: Path) -> None:
    """Save the gradient at half of the rows, plain and compiled."""
    torch.set_num_threads(1)
    store = torch.distributed.FileStore(str(folder / "store"), 2)
    torch.distributed.init_process_group("gloo", store=store, rank=process, world_size=2)
    network = nn.Sequential(nn.BatchNorm1d(CHANNELS))
    share_batch_statistics(network)
    rows = slice(process * ROWS // 2, (process + 1) * ROWS // 2)
    compiled = torch.compile(network, backend="aot_eager")
    torch.save((gradient(network, rows), gradient(compiled, rows)), folder / f"{process}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_gradients_are_those_of_one_process(tmp_path: Path) -> None:
    torch.multiprocessing.spawn(in_process, (tmp_path,), nprocs=2)
    want = gradient(nn.BatchNorm1d(CHANNELS), slice(None))
    saved = [torch.load(tmp_path / f"{process}.pt", weights_only=True) for process in range(2)]
    for parts in zip(*saved, strict=True):
        torch.testing.assert_close(torch.cat(parts), want, rtol=1e-4, atol=1e-5)
