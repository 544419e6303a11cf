"""Which rows of a micro-batch a process trains on, and random draws that do not depend on the number of processes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor


class Share(NamedTuple):
    """The part of each micro-batch that one of several processes trains on: equal numbers of rows, in order.

    Draws are made for the whole micro-batch on every process, from generators in the same state, and each process takes
    its rows. Several processes therefore train on the same numbers as one process.

    Attributes:
        process: number of this process, from 0.
        processes: number of processes.
    """

    process: int = 0
    processes: int = 1

    @classmethod
    def current(cls) -> Share:
        """The share of this process in the process group of torch, or everything where there is none."""
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            return cls(torch.distributed.get_rank(), torch.distributed.get_world_size())
        return cls()

    def rows(self, size: int) -> slice:
        """Rows of this process in a micro-batch of ``size`` windows, which ``processes`` must divide."""
        own = size // self.processes
        return slice(self.process * own, (self.process + 1) * own)

    def rand(self, size: int, *shape: int, device: torch.device | str) -> Tensor:
        """Uniform numbers (size, *shape) for the ``size`` rows of this process."""
        drawn = torch.rand(size * self.processes, *shape, device=device)
        return drawn[self.rows(size * self.processes)]

    def randn_like(self, values: Tensor) -> Tensor:
        """Normal numbers of the shape of ``values``, whose first axis has the rows of this process."""
        if self.processes == 1:
            return torch.randn_like(values)
        whole = (len(values) * self.processes, *values.shape[1:])
        return torch.randn(whole, device=values.device, dtype=values.dtype)[self.rows(whole[0])]

    def whole(self, values: Tensor) -> Tensor:
        """Rows (B, ...) of all processes, without gradients."""
        if self.processes == 1:
            return values
        parts = [torch.empty_like(values) for _ in range(self.processes)]
        torch.distributed.all_gather(parts, values.contiguous())
        return torch.cat(parts)
