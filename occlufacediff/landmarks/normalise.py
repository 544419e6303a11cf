"""From source pixels to the 224 crop and its coordinates in [-1, 1], and back.

Box: ``(x0, y0, size)`` in source px. Crop pixel = ``(p - corner) * 223 / size``; normalised = ``crop / 224 * 2 - 1``.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

CROP_PX = 224
#: Crop edge in mean edges of the landmarks' box, as published.
CROP_SCALE = 1.1 * 1.35


def crop_boxes(landmarks: NDArray[np.floating], scale: float = CROP_SCALE) -> NDArray[np.float64]:
    """Boxes of the crops around landmarks (..., L, 2) in source pixels: (..., 3) ``x0 y0 size``.

    ``size = int((width + height) / 2 * scale)``, at least 1, about the centre of the landmarks' box; NaN points
    do not count.
    """
    points = np.asarray(landmarks, dtype=np.float64)
    low, high = np.nanmin(points, axis=-2), np.nanmax(points, axis=-2)
    size = np.maximum(np.trunc((high - low).sum(axis=-1) / 2 * scale), 1.0)
    corner = (low + high) / 2 - size[..., None] / 2
    return np.concatenate([corner, size[..., None]], axis=-1)


def crop_matrix(box: NDArray[np.floating]) -> NDArray[np.float64]:
    """(3, 3) similarity from source pixels to crop pixels for one box (3,)."""
    x0, y0, size = (float(value) for value in box)
    ratio = (CROP_PX - 1) / size
    return np.array([[ratio, 0.0, -x0 * ratio], [0.0, ratio, -y0 * ratio], [0.0, 0.0, 1.0]])


def to_crop(landmarks: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Landmarks (..., L, 2) from source pixels to [-1, 1] of the crops ``boxes`` (..., 3)."""
    boxes = np.asarray(boxes, dtype=np.float64)[..., None, :]
    return (landmarks - boxes[..., :2]) * (CROP_PX - 1) / boxes[..., 2:] / CROP_PX * 2 - 1


def from_crop(landmarks: NDArray[np.floating], boxes: NDArray[np.floating]) -> NDArray[np.float64]:
    """Landmarks (..., L, 2) from [-1, 1] of the crops ``boxes`` (..., 3) back to source pixels."""
    boxes = np.asarray(boxes, dtype=np.float64)[..., None, :]
    return (np.asarray(landmarks, dtype=np.float64) + 1) / 2 * CROP_PX * boxes[..., 2:] / (CROP_PX - 1) + boxes[..., :2]
