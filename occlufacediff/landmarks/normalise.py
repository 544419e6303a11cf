"""Transforms between source pixels, crop pixels and crop coordinates in [-1, 1].

Box: ``(x0, y0, size)`` in source px. Crop pixel = ``(p - corner) * 223 / size``; normalised = ``crop / 224 * 2 - 1``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CROP_PX = 224
#: Crop edge relative to the mean edge of the landmark box (published value).
CROP_SCALE = 1.1 * 1.35


def crop_boxes(landmarks: NDArray[np.floating], scale: float = CROP_SCALE) -> NDArray[np.float64]:
    """Compute crop boxes (..., 3) ``x0 y0 size`` around landmarks (..., L, 2), in source pixels.

    ``size = int((width + height) / 2 * scale)``, at least 1, centred on the landmark box. NaN points are ignored.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    low, high = np.nanmin(points, axis=-2), np.nanmax(points, axis=-2)
    size = np.maximum(np.trunc((high - low).sum(axis=-1) / 2 * scale), 1.0)
    corner = (low + high) / 2 - size[..., None] / 2
    return np.concatenate([corner, size[..., None]], axis=-1)


def crop_matrix(box: NDArray[np.floating]) -> NDArray[np.float64]:
    """Similarity matrix (3, 3) from source pixels to crop pixels for one box (3,)."""
    x0, y0, size = (float(value) for value in box)
    ratio = (CROP_PX - 1) / size
    return np.array([[ratio, 0.0, -x0 * ratio], [0.0, ratio, -y0 * ratio], [0.0, 0.0, 1.0]])


def to_crop(landmarks: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Transform landmarks (..., L, 2) from source pixels to coordinates in [-1, 1] of the crops ``boxes`` (..., 3)."""
    boxes = np.asarray(boxes, dtype=np.float64)[..., None, :]
    return (landmarks - boxes[..., :2]) * (CROP_PX - 1) / boxes[..., 2:] / CROP_PX * 2 - 1


def from_crop(landmarks: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Transform landmarks (..., L, 2) from coordinates in [-1, 1] of the crops ``boxes`` (..., 3) to source pixels."""
    boxes = np.asarray(boxes, dtype=np.float64)[..., None, :]
    return (np.asarray(landmarks, dtype=np.float64) + 1) / 2 * CROP_PX * boxes[..., 2:] / (CROP_PX - 1) + boxes[..., :2]
