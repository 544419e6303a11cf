"""Landmarks of a detector with 68 points."""

from __future__ import annotations

import numpy as np

from occlufacediff.face_mesh import IBUG_68


def of_68(lmk: np.ndarray) -> np.ndarray:
    """Return the landmarks (T, 468, 2) with all but the 68 points set to NaN."""
    few = np.full_like(lmk, np.nan)
    few[:, IBUG_68] = lmk[:, IBUG_68]
    return few
