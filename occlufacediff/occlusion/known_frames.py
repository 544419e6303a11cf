"""Determines known frames: frames whose motion the recording itself shows well enough."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import LEFT_BROW, LEFT_EYE, LIPS, RIGHT_BROW, RIGHT_EYE

_EYES_AND_BROWS = (*LEFT_EYE, *RIGHT_EYE, *LEFT_BROW, *RIGHT_BROW)


def known_frames(
    visible: NDArray[np.generic], landmarks: NDArray[np.floating], min_visible: float
) -> NDArray[np.bool_]:
    """Known frames (T,): enough landmarks of the lips, and enough of eyes and brows, are visible.

    Args:
        visible: (T, 468) nonzero where a landmark is visible.
        landmarks: (T, 468 or more, 2); a point that is NaN in every frame is not provided by the detector and is
            ignored.
        min_visible: smallest visible fraction of either group, 0 to 1.
    """
    provided = np.isfinite(landmarks[:, : visible.shape[1]]).all(axis=2).any(axis=0)
    known = np.ones(len(visible), dtype=bool)
    for points in (np.array(LIPS), np.array(_EYES_AND_BROWS)):
        points = points[provided[points]]
        if len(points):
            known &= (visible[:, points] != 0).mean(axis=1) >= min_visible
    return known
