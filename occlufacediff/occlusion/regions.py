"""Boxes of face regions in the crop, anchored where speech does not move the face."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff import face_mesh
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.errors import ClipError
from occlufacediff.face_mesh import LIPS

Float = NDArray[np.float32]

# Left and right are the picture's here, the person's in the tables of the face mesh.
LEFT_EYE, RIGHT_EYE = face_mesh.RIGHT_EYE, face_mesh.LEFT_EYE
BROWS = (*face_mesh.RIGHT_BROW, *face_mesh.LEFT_BROW)
LOWER_CONTOUR = (93, 132, 58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288, 361, 323)
EYE_CORNERS = (33, 133, 362, 263)
MOUTH_CENTRE = (13, 14)
EYE_CENTRES = (27, 257)

# A box that reaches further than any crop does in that direction.
FAR = 4.0


def only_known(lmk_2d: Float, known: NDArray[np.bool_] | None = None) -> Float:
    """Landmarks (T, N, 2) with NaN in place of what is no point of the face.

    Args:
        lmk_2d: (T, N, 2) landmarks in crop coordinates; points that are not finite in x and y become NaN.
        known: (T, N) True where the detector gave the point; points that it never gave become NaN, those that it gave
            in other frames stay as they are. None: all were given.
    """
    there = np.isfinite(lmk_2d).all(axis=-1)
    if known is not None:
        there &= known.any(axis=0)
    return np.where(there[..., None], lmk_2d, np.float32(np.nan))


def _told(points: Float, name: str) -> Float:
    """The points (T, N, 2), of which each frame has one that is known.

    Raises:
        ClipError: ``no_region``, a frame has none.
    """
    lacking = ~np.isfinite(points).all(axis=-1).any(axis=1)
    if lacking.any():
        raise ClipError(
            "no_region",
            f"occlusion: the detector gives no landmark of the {name} in {lacking.sum()} of {len(points)} frames, "
            f"first in {lacking.argmax()}; choose another occlusion or another landmarks.detector",
        )
    return points


def box_around(points: Float, scale: float = 1.0, *, name: str = "region") -> Float:
    """Boxes (T, 4) `x0 y0 x1 y1` around the known of the points (T, N, 2), scaled about their centres.

    Raises:
        ClipError: ``no_region``, a frame has no known point; the message calls them ``name``.
    """
    points = _told(points, name)
    low, high = np.nanmin(points, axis=1), np.nanmax(points, axis=1)
    centre, half = (low + high) / 2, (high - low) / 2 * scale
    return np.concatenate([centre - half, centre + half], axis=1)


def anchors(lmk_2d: Float) -> tuple[Float, Float]:
    """Centre (T, 2) of the eye corners and the face unit (T, 1), the span of the outer ones, in crop coordinates.

    Raises:
        ClipError: ``no_region``, a frame lacks an outer corner.
    """
    corners = lmk_2d[:, EYE_CORNERS]
    for outer in (0, 3):
        _told(corners[:, outer : outer + 1], "eyes' outer corners")
    unit = np.linalg.norm(corners[:, 3] - corners[:, 0], axis=1, keepdims=True)
    return np.nanmean(corners, axis=1), np.maximum(unit, 1e-3)


def steady_box(lmk_2d: Float, indices: tuple[int, ...], margin: float = 0.0, *, name: str = "region") -> Float:
    """Boxes (T, 4) that hold the known of the given points in all frames and move with the eyes only.

    A box drawn around a moving mouth would itself tell how far the mouth is open. This one is the union over the
    clip in coordinates relative to the eye corners, so neither its size nor its place depends on the frame's mouth.

    Args:
        lmk_2d: (T, 468, 2) landmarks in crop coordinates, NaN where unknown.
        indices: the points to be held.
        margin: added on all sides, in face units.
        name: what messages call the points.

    Raises:
        ClipError: ``no_region``, a frame has none of the points, or lacks an outer corner of the eyes.
    """
    centre, unit = anchors(lmk_2d)
    relative = (_told(lmk_2d[:, indices], name) - centre[:, None]) / unit[:, None]
    low, high = np.nanmin(relative, axis=(0, 1)) - margin, np.nanmax(relative, axis=(0, 1)) + margin
    return np.concatenate([centre + unit * low, centre + unit * high], axis=1)


def mouth_box(lmk_2d: Float, *, top: float, margin: float, with_chin: bool, scale: float = 1.0) -> Float:
    """Boxes (T, 4) over the mouth; with the chin also over all of the lower face, down to the picture's border.

    Args:
        lmk_2d: (T, 468, 2) landmarks in crop coordinates, NaN where unknown.
        top: where the box begins with the chin, from the eye line (0) to the line between the lips (1).
        margin: added beside cheeks (with the chin), in face units.
        with_chin: hide lips, chin and lower cheeks; else the box around the lips times ``scale``.

    Raises:
        ClipError: ``no_region``, a frame has none of the lips, of their middle (with the chin), or lacks an outer
            corner of the eyes (with the chin).
    """
    if not with_chin:
        return box_around(lmk_2d[:, LIPS], scale, name="lips")
    for points, name in ((LIPS, "lips"), (MOUTH_CENTRE, "inner lips' middle")):
        _told(lmk_2d[:, points], name)
    box = steady_box(lmk_2d, (*LIPS, *LOWER_CONTOUR), margin)
    centre, unit = anchors(lmk_2d)
    height = (lmk_2d[..., 1] - centre[:, 1:]) / unit
    edge = min(top * np.nanmean(height[:, MOUTH_CENTRE]), np.nanmin(height[:, LIPS]))
    box[:, 1:2] = centre[:, 1:] + edge * unit
    box[:, 3] = FAR
    return box


def any_point(lmk_2d: Float, rng: np.random.Generator) -> Float:
    """One (T, 2) of the landmarks (T, N, 2) that are known in all frames.

    Raises:
        ClipError: ``no_region``, there is none.
    """
    known = np.flatnonzero(np.isfinite(lmk_2d).all(axis=(0, 2)))
    if not len(known):
        raise ClipError(
            "no_region",
            "occlusion: the detector gives no landmark in every frame, a box at a random place needs one for its "
            "centre; choose another occlusion or another landmarks.detector",
        )
    return lmk_2d[:, known[rng.integers(len(known))]]


def region_box(kind: str, lmk_2d: Float, rng: np.random.Generator, settings: OcclusionSettings) -> tuple[Float, bool]:
    """Boxes (T, 4) of a region for evaluation, and whether all but the box is hidden.

    Args:
        kind: an occlusion of `OCCLUSION_KINDS` but ``none``.
        lmk_2d: (T, 468, 2) landmarks in crop coordinates, NaN where unknown; boxes go by the others.
        rng: draws scales, sides and places; ``mouth`` with the chin, ``upper`` and ``bottom`` draw nothing.
        settings: sizes of the boxes.

    Raises:
        ValueError: no such region.
        ClipError: ``no_region``, a frame has no known landmark of the region.
    """
    frames = len(lmk_2d)
    if kind == "asym":
        kind = ("left", "right")[int(rng.integers(2))]
    halves = {"left": (-FAR, -FAR, 0.0, FAR), "right": (0.0, -FAR, FAR, FAR)}
    whole = (-FAR, -FAR, FAR, FAR)
    if kind in halves:
        return np.tile(np.asarray(halves[kind], np.float32), (frames, 1)), False
    if kind in ("audio_driven", "missing", "every_third"):
        return np.tile(np.asarray(whole, np.float32), (frames, 1)), False
    if kind in ("left_eye", "right_eye"):
        points = lmk_2d[:, LEFT_EYE if kind == "left_eye" else RIGHT_EYE]
        scale = rng.uniform(settings.scale_min, settings.scale_max)
        return box_around(points, scale, name=kind.replace("_", " ")), False
    if kind == "contour":
        points = lmk_2d[:, (*LIPS, *LEFT_EYE, *RIGHT_EYE)]
        return box_around(points, rng.uniform(1.0, 1.6), name="lips and eyes"), True
    if kind == "random":
        half = rng.uniform(settings.random_half_min, settings.random_half_max, 2).astype(np.float32)
        centre = any_point(lmk_2d, rng)
        return np.concatenate([centre - half, centre + half], axis=1), False
    box = np.tile(np.asarray(whole, np.float32), (frames, 1))
    if kind == "mouth":
        scale = 1.0 if settings.mouth_with_chin else rng.uniform(settings.scale_min, settings.scale_max)
        return mouth_box(
            lmk_2d,
            top=settings.mouth_top,
            margin=settings.mouth_margin,
            with_chin=settings.mouth_with_chin,
            scale=scale,
        ), False
    if kind in ("upper", "bottom"):
        edge = steady_box(lmk_2d, (*LEFT_EYE, *RIGHT_EYE, *BROWS), name="eyes and brows")[:, 3]
        box[:, 3 if kind == "upper" else 1] = edge
        return box, False
    raise ValueError(f"occlusion: got {kind!r}, needs an occlusion that hides a region")
