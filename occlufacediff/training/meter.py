"""Sums of loss terms on the device: they are fetched where they are shown, so that steps do not wait for the GPU."""

from __future__ import annotations

import torch
from torch import Tensor

Row = dict[str, float]


class Meter:
    """Sums of the terms of finite steps, and counts of the others, since the last row of history.csv.

    Args:
        sums: sums to continue with.
        skipped: steps without an update to continue with, since the last row.
        total: all steps without an update.
    """

    def __init__(self, sums: Row, skipped: int, total: int, device: torch.device) -> None:
        self._names = list(sums)
        self._sums = torch.tensor(list(sums.values()), dtype=torch.float64, device=device)
        self._skipped = torch.tensor([skipped, total], dtype=torch.int64, device=device)
        self._last: Tensor | None = None

    def add(self, names: list[str], values: Tensor) -> Tensor:
        """Add the terms of a step, float64; the result () is true if all of them are finite."""
        if names != self._names:
            known = dict(zip(self._names, self._sums, strict=True))
            self._sums = torch.stack([known.get(name, values.new_zeros(())) for name in names])
            self._names = names
        finite = torch.isfinite(values).all()
        self._sums += torch.where(finite, values, 0.0)
        self._skipped += ~finite
        self._last = values
        return finite

    def latest(self, name: str) -> float:
        """A term of the last step; waits for the device."""
        return float("nan") if self._last is None else float(self._last[self._names.index(name)])

    def sums(self) -> Row:
        """Sums of the terms; waits for the device."""
        return dict(zip(self._names, self._sums.tolist(), strict=True))

    def skipped(self) -> tuple[int, int]:
        """Steps without an update, since the last row and in all; waits for the device."""
        recent, total = self._skipped.tolist()
        return recent, total

    def start_row(self) -> None:
        """Begin the sums of another row."""
        self._sums.zero_()
        self._skipped[0] = 0
