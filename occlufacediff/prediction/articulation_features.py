"""What a motion does in a few words: how far jaw and lips open, close, round, spread and bare the teeth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.prediction.gaussian_process import Array
from occlufacediff.prediction.offset import moved

#: Column of the jaw's opening in a motion (T, E + 3).
JAW_OPENING = -3
#: Actions that do the same thing.
_ALIKE = (
    ("mouthClose",),
    ("mouthPucker", "mouthFunnel"),
    ("mouthStretchLeft", "mouthStretchRight", "mouthSmileLeft", "mouthSmileRight"),
    ("mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"),
)
#: Speakers are late or early with one thing beside another by so many frames.
_LAGS = (-2, 0, 2)
#: A thing that hardly moves is not blown up: least spread over the clip, in units of the coefficients' own.
_LEAST_SPREAD = 0.3


def articulation_columns(motion: NDArray[np.floating], names: tuple[str, ...], spread: Array) -> Array:
    """What a motion (T, E + 3) of expression ``names`` and jaw does (T, K), and two frames before and after.

    Each is about its mean over the clip and of about unit spread. Every coefficient may go with any of it: one speaker
    opens the jaw where another draws the lips apart.

    Args:
        spread: (E + 3,) usual spread of the coefficients.
    """
    known = [tuple(names.index(name) for name in alike if name in names) for alike in _ALIKE]
    parts = [(motion.shape[1] + JAW_OPENING,), *(columns for columns in known if columns)]
    done = np.stack([(motion[:, part] / spread[list(part)]).mean(axis=1) for part in parts], axis=1)
    done = done - done.mean(axis=0)
    done /= np.maximum(done.std(axis=0), _LEAST_SPREAD)
    return np.concatenate([moved(done, lag) for lag in _LAGS], axis=1)
