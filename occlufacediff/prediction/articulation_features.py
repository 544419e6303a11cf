"""Articulation of a motion in a few columns: opening of jaw and lips, closing, rounding, spreading, bared teeth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.prediction.gaussian_process import Array
from occlufacediff.prediction.offset import moved

#: Column of the jaw's opening in a motion (T, E + 3).
JAW_OPENING = -3
#: Groups of actions with the same articulation.
_GROUPS = (
    ("mouthClose",),
    ("mouthPucker", "mouthFunnel"),
    ("mouthStretchLeft", "mouthStretchRight", "mouthSmileLeft", "mouthSmileRight"),
    ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
)
#: Frames by which one articulation may precede or follow another; it differs between speakers.
_LAGS = (-2, 0, 2)
#: Least spread of a column over the clip, in units of the coefficients' spread: small movements are not amplified.
_LEAST_SPREAD = 0.3


def articulation_columns(motion: NDArray[np.floating], names: tuple[str, ...], spread: Array) -> Array:
    """Articulation (T, K) of a motion, and the same two frames before and after.

    Each column is about its mean over the clip and has about unit spread. Any coefficient may depend on any column: one
    speaker opens the jaw where another draws the lips apart.

    Args:
        motion: (T, E + 3) expression and jaw.
        names: names of the E expression coefficients.
        spread: (E + 3,) standard deviation of the coefficients over all speakers.
    """
    groups = [tuple(names.index(name) for name in group if name in names) for group in _GROUPS]
    parts = [(motion.shape[1] + JAW_OPENING,), *(columns for columns in groups if columns)]
    columns = np.stack([(motion[:, part] / spread[list(part)]).mean(axis=1) for part in parts], axis=1)
    columns = columns - columns.mean(axis=0)
    columns /= np.maximum(columns.std(axis=0), _LEAST_SPREAD)
    return np.concatenate([moved(columns, lag) for lag in _LAGS], axis=1)
