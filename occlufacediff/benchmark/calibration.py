"""Calibration of the predicted spread: coverage of its intervals, and whether it ranks the errors."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm, spearmanr

from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import opening

Float = NDArray[np.float32]

#: Mean error and mean spread of the lip opening over the occluded frames of a clip.
ERROR, SPREAD = "mean_opening_error_mm", "mean_opening_spread_mm"
#: Central intervals whose coverage is reported.
LEVELS = (0.5, 0.9)
UNITS = {"coverage_50": "", "coverage_90": "", "spread_rank": "", ERROR: "mm", SPREAD: "mm"}
#: Smallest number of occluded frames for a rank correlation.
_LEAST_FRAMES = 12
_STEP = 1e-3


def opening_spread(basis: LandmarkBasis, shape: Float, motion: Float, spread: Float) -> NDArray[np.float64]:
    """Standard deviation (T,) of the lip opening in metres.

    Computed from the numerical slopes of `opening` in the coefficients, whose errors are assumed independent.
    """
    base = opening(basis, shape, motion)
    variance = np.zeros(len(motion))
    for column in np.flatnonzero(spread.max(axis=0) > 0):
        moved = np.array(motion, np.float64)
        moved[:, column] += _STEP
        variance += ((opening(basis, shape, moved) - base) / _STEP * spread[:, column]) ** 2
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
    """Compare the spread of the lip opening with its errors over the occluded frames.

    Args:
        basis: head model at its landmarks.
        shape: (S,) identity on which the prediction was made.
        motion: (T, E + 3) predicted motion.
        spread: (T, E + 3) its standard deviation. All results are NaN if it contains NaN.
        true_shape: (S,) true identity.
        truth: (T, E + 3) true motion.
        frames: (T,) occluded frames. All results are NaN if there are too few.

    Returns:
        A value for each key of `UNITS`: coverage of the 50 % and 90 % intervals, rank correlation of spread and error
        over the frames, mean error and mean spread.
    """
    if frames.sum() < _LEAST_FRAMES or not np.isfinite(spread).all():
        return dict.fromkeys(UNITS, float("nan"))
    error = np.abs(opening(basis, shape, motion) - opening(basis, true_shape, truth))[frames]
    expected = opening_spread(basis, shape, motion, spread)[frames]
    values = {
        f"coverage_{round(100 * level)}": float((error <= norm.ppf(0.5 + level / 2) * expected).mean())
        for level in LEVELS
    }
    values |= {ERROR: 1000 * float(error.mean()), SPREAD: 1000 * float(expected.mean())}
    if expected.std() == 0:
        return values | {"spread_rank": float("nan")}
    return values | {"spread_rank": float(spearmanr(expected, error).statistic)}
