"""Loudness and timbre of speech for each video frame."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.media.rates import MEL_ROWS_PER_FRAME

Float = NDArray[np.float32]

#: Share of the articulation strength that depends on loudness.
_LOUDNESS_SHARE = 0.75
#: Minimum loudness range (mean log-mel) that is mapped to the full range of strength.
_MIN_RANGE = 0.5


def prosody(log_mel: Float) -> NDArray[np.float64]:
    """Loudness, low-frequency tilt and high-frequency tilt (T, 3) of a log-mel (4 T, 80).

    Loudness is relative to the loud parts of the clip. All columns have a standard deviation of about 1.
    """
    mel = _by_frame(log_mel)
    level = mel.mean(axis=1)
    low, high = mel[:, 8:22].mean(1) - mel[:, :6].mean(1), mel[:, 50:].mean(1) - level
    smooth = gaussian_filter1d(np.stack([level - np.quantile(level, 0.9), low, high], axis=1), 1.0, axis=0)
    return np.asarray((smooth - np.array([-1.0, 0.2, 0.0])) / np.array([0.9, 0.5, 0.5]))


def articulation_strength(log_mel: Float) -> NDArray[np.float64]:
    """Factor (T,) on speech motion from a log-mel (4 T, 80): about 0.25 in quiet, 1 in loud frames."""
    loudness = gaussian_filter1d(_by_frame(log_mel).mean(axis=1), 1.0)
    quiet, loud = np.percentile(loudness, [5, 95])
    share = np.clip(1.0 - (loud - loudness) / max(loud - quiet, _MIN_RANGE), 0.0, 1.2)
    return np.asarray(1.0 - _LOUDNESS_SHARE + _LOUDNESS_SHARE * share)


def _by_frame(log_mel: Float) -> NDArray[np.float64]:
    """Mean of the log-mel rows of each video frame (T, 80)."""
    rows = log_mel.reshape(-1, MEL_ROWS_PER_FRAME, log_mel.shape[1])
    return np.asarray(rows.mean(axis=1), np.float64)
