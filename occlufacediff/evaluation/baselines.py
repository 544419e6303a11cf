"""Baselines: what one gets without any network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def interpolated(motion: Float, hidden: NDArray[np.bool_]) -> Float:
    """Motion (T, M) with hidden frames filled linearly between the visible ones, the ends held.

    It takes the true motion of all visible frames, also where only a part of the face is hidden: the best that a
    method without a model of speech can know. Where every frame is hidden nothing is known, and the result is the
    neutral face (zero).

    Args:
        motion: (T, M) true [exp, jaw].
        hidden: (T,) frames in which something is hidden.
    """
    frames = np.arange(len(motion))
    seen = frames[~hidden]
    if len(seen) == 0:
        return np.zeros_like(motion)
    return np.stack([np.interp(frames, seen, values[seen]) for values in motion.T], axis=1).astype(np.float32)


def neutral(motion: Float) -> Float:
    """The neutral face (zero expression, closed jaw) for all frames of a motion (T, M)."""
    return np.zeros_like(motion)
