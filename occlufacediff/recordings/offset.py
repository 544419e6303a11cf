"""How far sound and picture of a recording are out of step, told from its visible frames alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP
from occlufacediff.speech.loudness import ROWS_PER_FRAME, loudness

Float = NDArray[np.float32]

#: Fewer visible frames than this tell nothing.
LEAST_FRAMES = 20


def lip_opening(points: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance (T,) between the middles of the inner lips, of landmarks (T, 468, 2)."""
    return np.linalg.norm(points[:, INNER_LIP_TOP] - points[:, INNER_LIP_BOTTOM], axis=-1).astype(np.float64)


def estimate_offset(
    lmk_2d: Float, lips_visible: NDArray[np.bool_], log_mel: Float, *, most: int, least_correlation: float
) -> tuple[int, float]:
    """The lag at which loudness and lip opening agree best.

    Args:
        lmk_2d: (T, 468, 2) landmarks.
        lips_visible: (T,) frames whose lips are visible; no other is looked at.
        log_mel: (4 T, 80).
        most: largest lag tried, frames.
        least_correlation: a lag other than 0 needs this much.

    Returns:
        Frames by which the sound comes late (negative: early), 0 where nothing tells; and the correlation there.
    """
    if most == 0 or lips_visible.sum() < LEAST_FRAMES:
        return 0, float("nan")
    opening, sound = lip_opening(lmk_2d), loudness(log_mel)
    found = {lag: _correlation(opening, sound, lips_visible, lag) for lag in range(-most, most + 1)}
    best = max(found, key=lambda lag: (found[lag], -abs(lag)))
    if not found[best] >= least_correlation:
        return 0, found[0]
    return best, found[best]


def _correlation(opening: NDArray, sound: NDArray, usable: NDArray[np.bool_], lag: int) -> float:
    frames = np.flatnonzero(usable)
    frames = frames[(frames + lag >= 0) & (frames + lag < len(sound))]
    if len(frames) < LEAST_FRAMES:
        return -1.0
    one, other = opening[frames], sound[frames + lag]
    if one.std() < 1e-6 or other.std() < 1e-6:
        return -1.0
    return float(np.corrcoef(one, other)[0, 1])


def shifted(log_mel: Float, frames: int) -> Float:
    """The log-mel (4 T, 80) with a sound that comes ``frames`` late moved into step, its ends repeated."""
    rows = np.clip(np.arange(len(log_mel)) + ROWS_PER_FRAME * frames, 0, len(log_mel) - 1)
    return log_mel[rows]
