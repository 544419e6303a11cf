"""Lip opening of a motion."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP
from occlufacediff.head.landmark_basis import LandmarkBasis


def has_opening(basis: LandmarkBasis) -> bool:
    """Whether the head model has landmarks at the inner lips."""
    return len(basis.rows_of((INNER_LIP_TOP, INNER_LIP_BOTTOM))) == 2


def opening(basis: LandmarkBasis, shape: NDArray[np.floating], motion: NDArray[np.floating]) -> NDArray[np.float64]:
    """Distance (T,) between the inner lips, metres, for a motion (T, E + 3) and an identity (S,).

    Raises:
        ValueError: the head model has no landmarks there.
    """
    if not has_opening(basis):
        raise ValueError(f"{basis.head_name}: has no landmarks at the inner lips, needs them for their opening")
    values = np.asarray(motion, np.float64)
    rows = basis.place[[INNER_LIP_TOP, INNER_LIP_BOTTOM]]
    points = basis.local(np.asarray(shape, np.float64), values[:, :-3], values[:, -3:], rows)
    return np.asarray(points[:, 0, 1] - points[:, 1, 1])
