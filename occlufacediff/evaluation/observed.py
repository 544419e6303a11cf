"""What a recording in which part of the face is hidden tells of the true motion: only that may be scored as truth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from occlufacediff.datasets.clips import Clip
from occlufacediff.head.asset import HeadAsset

Bool = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class ObservedTruth:
    """What counts as truth of a clip of T frames.

    Attributes:
        vertices: (T, V) where the visible landmark nearest to the vertex tells its place.
        landmarks: (T, L) which of the head's landmarks are visible in the recording.
        frames: (T,) whose expression and jaw are known.
    """

    vertices: Bool
    landmarks: Bool
    frames: Bool


def observed_truth(asset: HeadAsset, clip: Clip) -> ObservedTruth:
    """What counts as truth of a clip: all, where nothing is hidden in its recording.

    A landmark that the detector never gives (68 of 468 points) is not told either, but vertices go by the nearest
    landmark that it does give.

    Raises:
        ValueError: the clip has no landmarks.
    """
    if clip.lmk_2d is None:
        raise ValueError("clip: got no landmarks, needs lmk_2d")
    frames = np.ones(len(clip), dtype=bool) if clip.known is None else clip.known
    found = np.isfinite(clip.lmk_2d).all(axis=-1)
    if clip.lmk_visible is None and found.all():
        shapes = ((len(clip), len(points)) for points in (asset.v_template, asset.landmark_indices))
        vertices, landmarks = (np.ones(shape, dtype=bool) for shape in shapes)
        return ObservedTruth(vertices, landmarks, frames)
    visible = found if clip.lmk_visible is None else found & clip.lmk_visible
    rows = np.flatnonzero(found.any(axis=0)[asset.landmark_indices])
    corners = np.asarray(asset.v_template)[asset.triangles_of_landmarks[rows]]
    places = (corners * np.asarray(asset.lmk_b_coords)[rows][..., None]).sum(axis=1)
    nearest = rows[cKDTree(places).query(np.asarray(asset.v_template))[1]]
    landmarks = visible[:, asset.landmark_indices]
    return ObservedTruth(landmarks[:, nearest], landmarks, frames)


def mean_observed(errors: NDArray[np.floating], told: Bool) -> float | None:
    """Mean of the errors (T, N) that are told; None where none is."""
    return float(errors[told].mean()) if told.any() else None


def largest_observed(errors: NDArray[np.floating], told: Bool) -> float | None:
    """Largest told error (T, N) over time at each point that is ever told, mean over those; None where none is."""
    ever = told.any(axis=0)
    return float(np.where(told, errors, 0)[:, ever].max(axis=0).mean()) if ever.any() else None
