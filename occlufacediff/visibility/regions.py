"""Regions of the face for reports of visibility: groups of mesh points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import LEFT_BROW, LEFT_EYE, LIPS, NOSE, RIGHT_BROW, RIGHT_EYE

_CHIN_AND_CHEEKS = (
    32, 36, 50, 101, 118, 117, 123, 135, 140, 147, 169, 170, 171, 175, 187, 192, 194, 199, 200, 202, 203, 204, 205, 206,
    207, 208, 210, 211, 212, 213, 214, 216, 262, 266, 280, 330, 346, 347, 352, 364, 369, 376, 394, 395, 396, 411, 416,
    418, 422, 423, 424, 425, 426, 427, 428, 430, 431, 432, 433, 434, 436,
)  # fmt: skip
#: Mesh points by region. Left and right are the person's.
REGIONS: dict[str, tuple[int, ...]] = {
    "mouth": LIPS,
    "nose": NOSE,
    "left_eye": LEFT_EYE,
    "right_eye": RIGHT_EYE,
    "brows": LEFT_BROW + RIGHT_BROW,
    "chin_cheeks": _CHIN_AND_CHEEKS,
}
#: A region counts as hidden if at least this part of its points is.
HIDDEN_PART = 0.5


def hidden_regions(hidden: NDArray[np.bool_]) -> dict[str, NDArray[np.bool_]]:
    """By region: (T,) True where it counts as hidden, from hidden landmarks (T, 468)."""
    return {name: hidden[:, points].mean(axis=1) >= HIDDEN_PART for name, points in REGIONS.items()}
