"""Factors on the spread for frames in which the motion errs more, or less, than on average."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import has_opening, opening

Array = NDArray[np.float64]

#: Lip opening with a factor of 1, and the value added to all openings because closed lips err too; metres.
_USUAL_M, _CLOSED_M = 0.007, 0.003
#: Standard deviation of the smoothing of the opening, frames.
_SMOOTH_FRAMES = 2.0


def disagreement_factors(
    disagreement: NDArray[np.floating] | None, run: NDArray[np.intp], columns: NDArray[np.intp], share: float
) -> Array:
    """Factors (R, N), with a mean square of 1 over a run, that follow the disagreement of samples and rules.

    All are 1 where samples and rules agree in the whole run.

    Args:
        disagreement: (T, M) standard deviation over samples and rules; None for a single sample.
        run: (R,) frames.
        columns: (N,) coefficients.
        share: share of the variance that follows the disagreement.
    """
    if disagreement is None:
        return np.ones((len(run), len(columns)))
    variance = np.asarray(disagreement, np.float64)[np.ix_(run, columns)] ** 2
    mean = np.broadcast_to(variance.mean(axis=0), variance.shape)
    # Equal samples differ by rounding to float32.
    relative = np.divide(variance, mean, out=np.ones_like(variance), where=mean > 1e-12)
    return np.asarray(np.sqrt(1 - share + share * relative))


def opening_factors(
    basis: LandmarkBasis, shape: NDArray[np.floating], motion: NDArray[np.floating], power: float
) -> Array:
    """Factors (T,) ``((opening + 3 mm) / 10 mm) ** power``: open lips err more than closed ones.

    All are 1 for a head model without landmarks at the inner lips.

    Args:
        basis: the head model at its landmarks.
        shape: (S,) identity.
        motion: (T, E + 3) expression and jaw.
        power: exponent.
    """
    if not has_opening(basis):
        return np.ones(len(motion))
    gap = gaussian_filter1d(opening(basis, shape, motion), _SMOOTH_FRAMES)
    return np.asarray(((np.maximum(gap, 0.0) + _CLOSED_M) / (_USUAL_M + _CLOSED_M)) ** power)
