"""Baselines that need no network."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]


def interpolate(motion: Float, occluded: NDArray[np.bool_]) -> Float:
    """Motion (T, M) with occluded frames interpolated linearly between visible frames; the ends are held.

    The baseline receives the true motion of all visible frames, even if only part of the face is occluded. It is the
    best that a method without a model of speech can know. If every frame is occluded, the result is the neutral face.

    Args:
        motion: (T, M) true [exp, jaw].
        occluded: (T,) frames in which something is occluded.
    """
    frames = np.arange(len(motion))
    visible = frames[~occluded]
    if len(visible) == 0:
        return np.zeros_like(motion)
    return np.stack([np.interp(frames, visible, values[visible]) for values in motion.T], axis=1).astype(np.float32)


def neutral(motion: Float) -> Float:
    """The neutral face (zero expression, closed jaw) for all frames of a motion (T, M)."""
    return np.zeros_like(motion)
