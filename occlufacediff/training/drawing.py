"""Which clip a training window is cut from, and where it starts: one small object per way of drawing."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class WindowDrawing(Protocol):
    """A way to draw windows. Item numbers go on without end; draws depend on the arguments alone."""

    def clip_of(self, index: int, clips: int) -> int:
        """Number of the clip, below ``clips``, that item ``index`` is cut from."""

    def start_of(self, frames: int, length: int, rng: np.random.Generator) -> tuple[float, float]:
        """First frame and tempo of a window of ``length`` frames in a clip of ``frames`` frames.

        ``rng`` is the item's generator, before any other draw. A tempo of 1 is the clip's own. A clip that is too
        short for its window starts at 0; the window is filled as `resampling.window_of` describes.
        """


class RandomOrder:
    """All clips once per round, in an order that is drawn again for each round; starts and tempi are uniform.

    Args:
        seed: of the orders.
        tempo: maximum relative change of the tempo; 0: windows start at whole frames and keep the clip's tempo.
    """

    def __init__(self, seed: int, tempo: float = 0.0) -> None:
        self.seed = seed
        self.tempo = tempo
        self._order: tuple[int, NDArray[np.int64]] = (-1, np.empty(0, np.int64))

    def clip_of(self, index: int, clips: int) -> int:
        """As in `WindowDrawing`; the order of a round is kept until another round is asked for."""
        turn, place = divmod(index, clips)
        if self._order[0] != turn or len(self._order[1]) != clips:
            self._order = turn, np.random.default_rng([self.seed, turn, 1]).permutation(clips)
        return int(self._order[1][place])

    def start_of(self, frames: int, length: int, rng: np.random.Generator) -> tuple[float, float]:
        """As in `WindowDrawing`."""
        tempo = 1 + self.tempo * rng.uniform(-1, 1) if self.tempo else 1.0
        room = max(frames - length * tempo, 0)
        return (rng.uniform(0, room) if self.tempo else int(rng.integers(int(room) + 1))), tempo
