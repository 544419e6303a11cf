"""Memory that is used again."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

#: Sizes are rounded up to a multiple of this number of bytes, so that a buffer serves clips of other lengths too.
_STEP = 1 << 16


def _references(buffers: list[NDArray[np.uint8]]) -> list[int]:
    """Number of references to each of the arrays; each view of an array is one."""
    return [sys.getrefcount(buffer) for buffer in buffers]


#: References to an array that only a list holds. The number depends on the version of Python.
_UNUSED = _references([np.empty(0, np.uint8)])[0]


class Buffers:
    """Memory for arrays; memory to which no array refers any more is given again.

    Fresh memory costs as much time as reading from the system's cache, because the system clears each page at its
    first use.

    Args:
        most: number of buffers that are kept; further ones are fresh memory.
    """

    def __init__(self, most: int = 64) -> None:
        self._most = most
        self._buffers: list[NDArray[np.uint8]] = []

    def take(self, size: int) -> NDArray[np.uint8]:
        """At least ``size`` bytes of any content. They are in use as long as a view of them exists."""
        for number, count in enumerate(_references(self._buffers)):
            if count == _UNUSED and len(self._buffers[number]) >= size:
                return self._buffers[number]
        buffer = np.empty(size + -size % _STEP, np.uint8)
        if len(self._buffers) < self._most:
            self._buffers.append(buffer)
        return buffer
