"""How loud speech is, frame by frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.media.rates import MEL_ROWS_PER_FRAME

Float = NDArray[np.float32]

#: Share of the rules' motion that follows the loudness.
_SHARE = 0.75
#: Range of the mean log-mel that counts as a change of loudness at least.
_LEAST_RANGE = 0.5


def loudness(log_mel: Float) -> NDArray[np.float64]:
    """Loudness (T,) a frame from the log-mel (4 T, 80): mean over bands and the frame's rows, smoothed a little."""
    frames = log_mel.mean(axis=1).reshape(-1, MEL_ROWS_PER_FRAME).mean(axis=1)
    return np.asarray(gaussian_filter1d(frames.astype(np.float64), 1.0))


def strength(log_mel: Float) -> NDArray[np.float64]:
    """Factor (T,) on the motion: louder speech moves more, between the quiet and the loud frames of this sound."""
    loud = loudness(log_mel)
    quiet, peak = np.percentile(loud, [5, 95])
    share = np.clip(1.0 - (peak - loud) / max(peak - quiet, _LEAST_RANGE), 0.0, 1.2)
    return np.asarray(1.0 - _SHARE + _SHARE * share)
