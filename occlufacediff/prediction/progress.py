"""Progress and timing of the steps of a prediction."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

#: Called with the name of a step, the work done and the work in total (None: unknown).
Progress = Callable[[str, int, int | None], None]


def no_progress(step: str, done: int, total: int | None) -> None:
    """Show no progress."""


class StepTimer:
    """Wall-clock seconds of each step, in the order in which the steps ran."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Measure the body of a ``with`` block."""
        start = time.perf_counter()
        yield
        self.seconds[name] = time.perf_counter() - start
