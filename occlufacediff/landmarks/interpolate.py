"""Interpolates the landmarks of frames without a detected face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.errors import ClipError


def fill_missing(
    landmarks: NDArray[np.floating], valid: NDArray[np.intp] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.intp]]:
    """Fill frames without a face by linear interpolation in time; the ends repeat the nearest frame.

    Args:
        landmarks: (T, L, >= 2) points; only x and y are used. The input is not modified.
        valid: indices of the frames with a face; None: all frames with a finite point. A point that is NaN in
            every valid frame stays NaN. A point that is NaN in some of them is interpolated separately.

    Returns:
        The filled landmarks (T, L, 2) float32, and the indices (K,) of the frames with a face.

    Raises:
        ClipError: ``no_face`` if no frame has a face.
    """
    points = np.array(landmarks[..., :2], dtype=np.float32)
    finite = np.isfinite(points).all(axis=2)
    if valid is None:
        valid = np.flatnonzero(finite.any(axis=1))
    if len(valid) == 0:
        raise ClipError("no_face", f"no face was found in any of {len(points)} frames; use a clip that shows a face")
    known = finite[valid]
    everywhere = known.all(axis=0)
    # Only the gaps are computed: of a long clip, no copy in double precision is made.
    missing = np.setdiff1d(np.arange(len(points)), valid)
    if everywhere.any() and len(missing):
        at = valid[_beside(missing, valid)]
        chosen = np.flatnonzero(everywhere)
        points[np.ix_(missing, chosen)] = _linear(missing, at, _doubles(landmarks, at, chosen))
    for point in np.flatnonzero(~everywhere & known.any(axis=0)):
        at = valid[known[:, point]]
        gaps = np.setdiff1d(np.arange(len(points)), at)
        points[gaps, point] = _linear(gaps, at, _doubles(landmarks, at, np.array([point])))[:, 0]
    return points, valid


def _doubles(
    landmarks: NDArray[np.floating], frames: NDArray[np.intp], points: NDArray[np.intp]
) -> NDArray[np.float64]:
    """Some points (P) in some frames (K) of landmarks, (K, P, 2), in double precision."""
    return np.asarray(landmarks[np.ix_(frames, points)][..., :2], dtype=np.float64)


def _beside(missing: NDArray[np.intp], valid: NDArray[np.intp]) -> NDArray[np.intp]:
    """Places in ``valid`` of the frames before and after the missing frames."""
    after = np.searchsorted(valid, missing)
    return np.unique(np.clip(np.concatenate([after - 1, after]), 0, len(valid) - 1))


def _linear(frames: NDArray[np.intp], at: NDArray[np.intp], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Interpolate values (K, ...) at the frames ``at`` linearly to ``frames``; constant outside their range."""
    right = np.clip(np.searchsorted(at, frames), 0, len(at) - 1)
    left = np.clip(np.searchsorted(at, frames, side="right") - 1, 0, len(at) - 1)
    span = np.maximum(at[right] - at[left], 1)
    share = np.clip((frames - at[left]) / span, 0.0, 1.0).reshape((-1,) + (1,) * (values.ndim - 1))
    lower, upper = values[left], values[right]
    filled: NDArray[np.float64] = np.where(share == 0, lower, lower + share * (upper - lower))
    return filled
