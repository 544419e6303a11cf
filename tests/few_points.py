"""What a detector of 68 points gives."""

from __future__ import annotations

import numpy as np

from occlufacediff.face_mesh import IBUG_68


def of_68(lmk: np.ndarray) -> np.ndarray:
    """Landmarks (T, 468, 2), all but the 68 points NaN."""
    few = np.full_like(lmk, np.nan)
    few[:, IBUG_68] = lmk[:, IBUG_68]
    return few
