"""Blocks of frames: long clips are computed block by block, so that temporary arrays do not grow with the clip."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: Frames of a block: 40 s at 25 frames a second.
BLOCK = 1024


def blocks_of(frames: int, length: int = BLOCK) -> Iterator[slice]:
    """Consecutive slices of at most ``length`` that cover ``frames`` frames."""
    for start in range(0, frames, length):
        yield slice(start, min(start + length, frames))


def by_blocks(function: Callable[..., NDArray[Any]], *arrays: NDArray[Any], dtype: type[np.generic]) -> NDArray[Any]:
    """Result (T, ...) of a function that computes each frame from the same frame of ``arrays`` (T, ...).

    Args:
        function: of blocks of the arrays; its results become ``dtype``.
        arrays: one or more.
        dtype: type of the result.
    """
    out: NDArray[Any] | None = None
    for block in blocks_of(len(arrays[0]), BLOCK):
        part = function(*(array[block] for array in arrays))
        if out is None:
            out = np.empty((len(arrays[0]), *part.shape[1:]), dtype)
        out[block] = part
    return function(*arrays).astype(dtype) if out is None else out


def free_unused() -> None:
    """Give memory of freed small arrays back to the system; glibc keeps it, and large arrays do not use it."""
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)
