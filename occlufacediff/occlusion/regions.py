"""Boxes around face regions in crop coordinates, anchored at points that speech does not move."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff import face_mesh
from occlufacediff.errors import ClipError
from occlufacediff.face_mesh import LIPS

Float = NDArray[np.float32]

# Left and right are sides of the image here, and sides of the person in `face_mesh`.
LEFT_EYE, RIGHT_EYE = face_mesh.RIGHT_EYE, face_mesh.LEFT_EYE
BROWS = (*face_mesh.RIGHT_BROW, *face_mesh.LEFT_BROW)
LOWER_CONTOUR = (93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323)
EYE_CORNERS = (33, 133, 362, 263)
MOUTH_CENTRE = (13, 14)
EYE_CENTRES = (27, 257)

#: A coordinate outside any crop.
FAR = 4.0


def finite_points(points: Float) -> NDArray[np.bool_]:
    """Whether both coordinates of points (..., 2) are finite; much faster than a reduction over the last axis."""
    finite: NDArray[np.bool_] = np.isfinite(points)
    return finite[..., 0] & finite[..., 1]


def missing_to_nan(lmk_2d: Float, detected: NDArray[np.bool_] | None = None) -> Float:
    """Replace missing landmarks by NaN.

    Args:
        lmk_2d: (T, N, 2) landmarks in crop coordinates; a point that is not finite becomes NaN in x and y.
        detected: (T, N) True where the detector provided the point. A point that is True in no frame becomes NaN in
            all frames; a point that is True in some frames keeps its (interpolated) values. None: all True.
    """
    finite = finite_points(lmk_2d)
    if detected is not None:
        finite &= detected.any(axis=0)
    return np.where(finite[..., None], lmk_2d, np.float32(np.nan))


def _require_points(points: Float, name: str) -> Float:
    """Return the points (T, N, 2) if every frame has at least one finite point.

    Raises:
        ClipError: ``no_region``, a frame has none.
    """
    empty = ~finite_points(points).any(axis=1)
    if empty.any():
        raise ClipError(
            "no_region",
            f"occlusion: the detector gives no landmark of the {name} in {empty.sum()} of {len(points)} frames, "
            f"first in {empty.argmax()}; choose another occlusion or another landmarks.detector",
        )
    return points


def box_around(points: Float, scale: float = 1.0, *, name: str = "region") -> Float:
    """Boxes (T, 4) ``x0 y0 x1 y1`` around the finite points of (T, N, 2), scaled about their centres.

    Args:
        name: name of the points in error messages.

    Raises:
        ClipError: ``no_region``, a frame has no finite point.
    """
    points = _require_points(points, name)
    low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    centre, half = (low + high) / 2, (high - low) / 2 * scale
    return np.concatenate([centre - half, centre + half], axis=1)


def eye_anchor(lmk_2d: Float) -> tuple[Float, Float]:
    """Centre (T, 2) of the eye corners and the face unit (T, 1): the distance of the outer corners.

    Raises:
        ClipError: ``no_region``, an outer corner is missing in a frame.
    """
    corners = lmk_2d[:, EYE_CORNERS]
    for outer in (0, 3):
        _require_points(corners[:, outer : outer + 1], "eyes' outer corners")
    unit = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1, keepdims=True)
    return np.nanmean(corners, axis=1), np.maximum(unit, 1e-3)


def eye_anchored_box(lmk_2d: Float, indices: tuple[int, ...], margin: float = 0.0, *, name: str = "region") -> Float:
    """Boxes (T, 4) that contain the given points in all frames and move with the eyes only.

    A box around a moving mouth would reveal how far the mouth is open. This box is the union over the clip in
    coordinates relative to the eye corners, so its size and position do not depend on the mouth in a single frame.

    Args:
        lmk_2d: (T, 468, 2) landmarks in crop coordinates, NaN where missing.
        indices: the points to contain.
        margin: added on all sides, in face units.
        name: name of the points in error messages.

    Raises:
        ClipError: ``no_region``, a frame has none of the points or lacks an outer eye corner.
    """
    centre, unit = eye_anchor(lmk_2d)
    relative = (_require_points(lmk_2d[:, indices], name) - centre[:, None]) / unit[:, None]
    low, high = np.nanmin(relative, axis=(0, 1)) - margin, np.nanmax(relative, axis=(0, 1)) + margin
    return np.concatenate([centre + unit * low, centre + unit * high], axis=1)


def mouth_box(lmk_2d: Float, *, top: float, margin: float, with_chin: bool, scale: float = 1.0) -> Float:
    """Boxes (T, 4) over the mouth, or over the whole lower face down to the lower border of the crop.

    Args:
        lmk_2d: (T, 468, 2) landmarks in crop coordinates, NaN where missing.
        top: upper edge with the chin, from the eye line (0) to the line between the lips (1).
        margin: added at the cheeks with the chin, in face units.
        with_chin: occlude lips, chin and lower cheeks; otherwise the box around the lips times ``scale``.

    Raises:
        ClipError: ``no_region``, a frame has no lip landmark; with the chin also: it lacks the middle of the inner
            lips or an outer eye corner.
    """
    if not with_chin:
        return box_around(lmk_2d[:, LIPS], scale, name="lips")
    for points, name in ((LIPS, "lips"), (MOUTH_CENTRE, "inner lips' middle")):
        _require_points(lmk_2d[:, points], name)
    box = eye_anchored_box(lmk_2d, (*LIPS, *LOWER_CONTOUR), margin)
    centre, unit = eye_anchor(lmk_2d)
    height = (lmk_2d[..., 1] - centre[:, 1:]) / unit
    edge = min(top * np.nanmean(height[:, MOUTH_CENTRE]), np.nanmin(height[:, LIPS]))
    box[:, 1:2] = centre[:, 1:] + edge * unit
    box[:, 3] = FAR
    return box


def random_landmark(lmk_2d: Float, rng: np.random.Generator) -> Float:
    """Draw one (T, 2) of the landmarks (T, N, 2) that are finite in all frames.

    Raises:
        ClipError: ``no_region``, there is none.
    """
    return lmk_2d[:, random_point(lmk_2d, rng)]


def random_point(lmk_2d: Float, rng: np.random.Generator) -> int:
    """Number of the landmark that `random_landmark` draws.

    Raises:
        ClipError: ``no_region``, there is none.
    """
    candidates = np.flatnonzero(np.isfinite(lmk_2d).all(axis=(0, 2)))
    if not len(candidates):
        raise ClipError(
            "no_region",
            "occlusion: the detector gives no landmark in every frame, a box at a random place needs one for its "
            "centre; choose another occlusion or another landmarks.detector",
        )
    return int(candidates[rng.integers(len(candidates))])
