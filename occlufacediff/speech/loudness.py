"""How loud speech is and what of it sounds, frame by frame."""

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
    return np.asarray(gaussian_filter1d(_by_frame(log_mel).mean(axis=1), 1.0))


def sound_columns(log_mel: Float) -> NDArray[np.float64]:
    """Loudness and timbre (T, 3) of a log-mel (4 T, 80) against the clip's loud parts, of about unit spread."""
    mel = _by_frame(log_mel)
    level = mel.mean(axis=1)
    low, high = mel[:, 8:22].mean(1) - mel[:, :6].mean(1), mel[:, 50:].mean(1) - level
    smooth = gaussian_filter1d(np.stack([level - np.quantile(level, 0.9), low, high], axis=1), 1.0, axis=0)
    return np.asarray((smooth - np.array([-1.0, 0.2, 0.0])) / np.array([0.9, 0.5, 0.5]))


def _by_frame(log_mel: Float) -> NDArray[np.float64]:
    """Bands (T, 80), the mean of each frame's rows."""
    rows = log_mel.reshape(-1, MEL_ROWS_PER_FRAME, log_mel.shape[1])
    return np.asarray(rows.mean(axis=1), np.float64)


def strength(log_mel: Float) -> NDArray[np.float64]:
    """Factor (T,) on the motion: louder speech moves more, between the quiet and the loud frames of this sound."""
    loud = loudness(log_mel)
    quiet, peak = np.percentile(loud, [5, 95])
    share = np.clip(1.0 - (peak - loud) / max(peak - quiet, _LEAST_RANGE), 0.0, 1.2)
    return np.asarray(1.0 - _SHARE + _SHARE * share)
