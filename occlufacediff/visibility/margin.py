"""The margin around hidden landmarks: visible landmarks beside an occluder that are not used.

A detector fits its whole mesh to what it sees of a face. So it also misplaces visible landmarks beside an occluder, and
these would enter the motion as if they were true.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from occlufacediff.face_mesh import LEFT_EYE, RIGHT_EYE

#: Width of the margin in crop coordinates; 0.18 are 20 pixels of the 224 x 224 crop. Measured on rendered heads under
#: painted occluders: visible lip landmarks are wrong by 3.0 pixels beside the occluder and by 0.9 beyond the margin.
MARGIN = 0.18
#: The same for the rims of the eyes, which are clearer in the picture: above a face mask they are wrong by 1.1 pixels.
EYE_MARGIN = 0.09
_EYES = np.array(LEFT_EYE + RIGHT_EYE)


def within_margin(hidden: NDArray[np.bool_], lmk_2d: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Landmarks (T, 468) that are hidden, or closer than the margin to a hidden one of the same frame.

    Args:
        hidden: (T, 468) True where a landmark is hidden.
        lmk_2d: (T, 468 or more, 2) crop coordinates; points that are not finite have no margin and are in none.
    """
    width = np.full(hidden.shape[1], MARGIN)
    width[_EYES] = EYE_MARGIN
    out = hidden.copy()
    points = lmk_2d[:, : hidden.shape[1]]
    finite = np.isfinite(points).all(axis=-1)
    for frame in np.flatnonzero((hidden & finite).any(axis=1) & ~hidden.all(axis=1)):
        shown = np.flatnonzero(~hidden[frame] & finite[frame])
        places = np.asarray(points[frame], np.float64)
        distance, _ = cKDTree(places[hidden[frame] & finite[frame]]).query(places[shown])
        out[frame, shown[distance < width[shown]]] = True
    return out
