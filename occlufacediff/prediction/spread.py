"""Where a motion errs more than elsewhere: factors on its spread."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import has_opening, opening

Array = NDArray[np.float64]

#: Metres by which lips are apart at a factor of 1, and which are added to all openings: closed lips err too.
_USUAL_M, _CLOSED_M = 0.007, 0.003
#: The opening is smoothed by a Gaussian of so many frames.
_SMOOTH_FRAMES = 2.0


def uneven(apart: NDArray[np.floating] | None, run: NDArray[np.intp], columns: NDArray[np.intp], share: float) -> Array:
    """Factors (R, N), 1 in the mean square, that follow how far guesses lie apart in the frames of a run.

    Guesses that agree throughout tell nothing: all factors are 1.

    Args:
        apart: (T, M) how far guesses lie apart; None where there is but one.
        run: (R,) frames. columns: (N,) coefficients.
        share: of the variance that follows them.
    """
    if apart is None:
        return np.ones((len(run), len(columns)))
    variance = np.asarray(apart, np.float64)[np.ix_(run, columns)] ** 2
    mean = np.broadcast_to(variance.mean(axis=0), variance.shape)
    # Equal guesses lie apart by what float32 rounds.
    even = np.divide(variance, mean, out=np.ones_like(variance), where=mean > 1e-12)
    return np.asarray(np.sqrt(1 - share + share * even))


def opened(basis: LandmarkBasis, shape: NDArray[np.floating], motion: NDArray[np.floating], power: float) -> Array:
    """Factors (T,) by which lips that are far apart err more than closed ones, in the frames of one clip.

    They are ``((gap + 3 mm) / 10 mm) ** power``, the gap being that of a motion (T, E + 3) on an identity (S,); all 1
    for a head without landmarks at the inner lips.
    """
    if not has_opening(basis):
        return np.ones(len(motion))
    gap = gaussian_filter1d(opening(basis, shape, motion), _SMOOTH_FRAMES)
    return np.asarray(((np.maximum(gap, 0.0) + _CLOSED_M) / (_USUAL_M + _CLOSED_M)) ** power)
