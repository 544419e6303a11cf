"""Whether the spread of a motion means something: how often the truth lies within, and whether it ranks the errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr

from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import opening

Float = NDArray[np.float32]

#: Of the lip opening, means over the hidden frames of a clip.
ERROR, SPREAD = "mean_opening_error_mm", "mean_opening_spread_mm"
#: Central intervals whose coverage is told.
LEVELS = (0.5, 0.9)
UNITS = {"coverage_50": "", "coverage_90": "", "spread_rank": "", ERROR: "mm", SPREAD: "mm"}
#: Hidden frames that a rank correlation needs.
_LEAST_FRAMES = 12
_STEP = 1e-3


def opening_spread(basis: LandmarkBasis, shape: Float, motion: Float, spread: Float) -> NDArray[np.float64]:
    """Standard deviation (T,) of `opening`, by its slopes in the coefficients, which are taken to err independently."""
    about = opening(basis, shape, motion)
    variance = np.zeros(len(motion))
    for column in np.flatnonzero(spread.max(axis=0) > 0):
        moved = np.array(motion, np.float64)
        moved[:, column] += _STEP
        variance += ((opening(basis, shape, moved) - about) / _STEP * spread[:, column]) ** 2
    return np.asarray(np.sqrt(variance))


def calibration(
    basis: LandmarkBasis,
    shape: Float,
    motion: Float,
    spread: Float,
    true_shape: Float,
    truth: Float,
    frames: NDArray[np.bool_],
) -> dict[str, float]:
    """What the spread of the lip opening tells of its errors over hidden frames.

    Returns:
        `UNITS`: coverage of the 50 % and 90 % intervals, rank correlation of spread and error, and the mean of either.

    Args:
        motion, spread: (T, E + 3) ours, on the identity ``shape``; NaN for all figures where the spread is not known.
        truth: (T, E + 3), on ``true_shape``.
        frames: (T,) hidden ones; NaN for all figures where there are too few.
    """
    if frames.sum() < _LEAST_FRAMES or not np.isfinite(spread).all():
        return dict.fromkeys(UNITS, float("nan"))
    error = np.abs(opening(basis, shape, motion) - opening(basis, true_shape, truth))[frames]
    expected = opening_spread(basis, shape, motion, spread)[frames]
    figures = {
        f"coverage_{round(100 * level)}": float((error <= norm.ppf(0.5 + level / 2) * expected).mean())
        for level in LEVELS
    }
    figures |= {ERROR: 1000 * float(error.mean()), SPREAD: 1000 * float(expected.mean())}
    if expected.std() == 0:
        return figures | {"spread_rank": float("nan")}
    return figures | {"spread_rank": float(spearmanr(expected, error).statistic)}
