"""Which parts of a recording count as truth, if part of the face is occluded in the recording itself."""

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
    """Parts of a clip of T frames that count as truth.

    Attributes:
        vertices: (T, V) vertices whose nearest landmark is visible.
        landmarks: (T, L) landmarks of the head that are visible in the recording.
        frames: (T,) frames with known expression and jaw.
    """

    vertices: Bool
    landmarks: Bool
    frames: Bool


def observed_truth(asset: HeadAsset, clip: Clip) -> ObservedTruth:
    """Parts of a clip that count as truth: everything, if nothing is occluded in the recording.

    Landmarks that the detector never gives (some detectors give 68 of 468) do not count. Vertices use the nearest
    landmark that the detector gives.

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


def mean_observed(errors: NDArray[np.floating], observed: Bool) -> float | None:
    """Mean of the observed errors (T, N); None if nothing is observed."""
    return float(errors[observed].mean()) if observed.any() else None


def largest_observed(errors: NDArray[np.floating], observed: Bool) -> float | None:
    """Mean over points of their largest observed error (T, N) over time; None if nothing is observed."""
    ever = observed.any(axis=0)
    return float(np.where(observed, errors, 0)[:, ever].max(axis=0).mean()) if ever.any() else None
