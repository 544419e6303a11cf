"""Index tables of the face mesh: those of `face_mesh`, and the mesh edges."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import (
    ALL_POINTS,
    CONTOUR,
    EYE_CORNERS,
    IBUG_68,
    INNER_LIP_BOTTOM,
    INNER_LIP_TOP,
    LEFT_BROW,
    LEFT_EYE,
    LIP_PAIRS_LOWER,
    LIP_PAIRS_UPPER,
    LIPS,
    LIPS_INNER,
    LIPS_OUTER,
    MESH_POINTS,
    NOSE,
    RIGHT_BROW,
    RIGHT_EYE,
)
from occlufacediff.landmarks.mesh_tables import EDGES

__all__ = [
    "ALL_POINTS",
    "CONTOUR",
    "EYE_CORNERS",
    "IBUG_68",
    "INNER_LIP_BOTTOM",
    "INNER_LIP_TOP",
    "LEFT_BROW",
    "LEFT_EYE",
    "LIPS",
    "LIPS_INNER",
    "LIPS_OUTER",
    "LIP_PAIRS_LOWER",
    "LIP_PAIRS_UPPER",
    "MESH_POINTS",
    "NOSE",
    "RIGHT_BROW",
    "RIGHT_EYE",
    "mesh_edges",
]


@cache
def mesh_edges() -> NDArray[np.intp]:
    """Point indices (1322, 2) of the mesh edges, for drawing."""
    table = np.array(EDGES.split(), dtype=np.intp).reshape(-1, 2)
    table.flags.writeable = False
    return table
