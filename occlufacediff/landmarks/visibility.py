"""Which landmarks a mask picture leaves visible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.normalise import CROP_PX


def to_pixels(points: NDArray[np.floating]) -> NDArray[np.int64]:
    """Pixels of points (...) in crop coordinates: ``trunc(112 v + 112)``, toward zero as published."""
    return np.trunc(_exact_pixels(points)).astype(np.int64)


def _exact_pixels(points: NDArray[np.floating]) -> NDArray[np.float64]:
    half = CROP_PX // 2
    return np.asarray(points, np.float64) * half + half


def visible_landmarks(landmarks: NDArray[np.floating], visible: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Look landmarks up in mask pictures.

    A landmark is hidden when it is not finite, falls outside the crop or on a hidden pixel. Values just left of -1 land
    on pixel 0 and count as inside.

    Args:
        landmarks: (..., L, 2) normalised, x right, y down.
        visible: (..., 224, 224) pictures, nonzero where the pixel is visible; leading axes as in ``landmarks``, or a
            single picture for all.

    Returns:
        (..., L) uint8, 1 visible, 0 hidden.
    """
    points = np.asarray(landmarks)
    exact = _exact_pixels(points)
    # Truncation is toward zero: all above -1 lands on pixel 0. What is not finite is in no range.
    with np.errstate(invalid="ignore"):
        fits = (exact > -1) & (exact < CROP_PX)
        pixels = exact.astype(np.int32)
    inside = fits[..., 0] & fits[..., 1]
    places = np.where(inside, pixels[..., 1] * CROP_PX + pixels[..., 0], 0)
    pictures = np.asarray(visible)
    if pictures.ndim == 2:
        seen = pictures.reshape(-1)[places] != 0
    else:
        flat = np.broadcast_to(pictures, (*points.shape[:-2], CROP_PX, CROP_PX)).reshape(-1, CROP_PX * CROP_PX)
        number = np.arange(len(flat)).reshape(*points.shape[:-2], 1)
        seen = flat[number, places] != 0
    return (inside & seen).view(np.uint8)
