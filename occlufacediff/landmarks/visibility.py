"""Looks up landmark visibility in mask images."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.normalise import CROP_PX


def to_pixels(points: NDArray[np.floating]) -> NDArray[np.int64]:
    """Convert crop coordinates (...) to pixels: ``trunc(112 v + 112)``, toward zero as published."""
    return np.trunc(_exact_pixels(points)).astype(np.int64)


def _exact_pixels(points: NDArray[np.floating]) -> NDArray[np.float64]:
    half = CROP_PX // 2
    return np.asarray(points, np.float64) * half + half


def visible_landmarks(landmarks: NDArray[np.floating], visible: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Look up landmarks in mask images.

    A landmark is occluded if it is not finite, lies outside the crop or on an occluded pixel. Because of the
    truncation, values slightly below -1 fall on pixel 0 and count as inside.

    Args:
        landmarks: (..., L, 2) normalised, x right, y down.
        visible: (..., 224, 224) images, nonzero where the pixel is visible; leading axes as in ``landmarks``, or one
            image for all frames.

    Returns:
        (..., L) uint8, 1 visible, 0 occluded.
    """
    points = np.asarray(landmarks)
    exact = _exact_pixels(points)
    # Truncation is toward zero, so any value above -1 falls on pixel 0. NaN and inf fail both comparisons.
    with np.errstate(invalid="ignore"):
        in_range = (exact > -1) & (exact < CROP_PX)
        pixels = exact.astype(np.int32)
    inside = in_range[..., 0] & in_range[..., 1]
    flat_index = np.where(inside, pixels[..., 1] * CROP_PX + pixels[..., 0], 0)
    images = np.asarray(visible)
    if images.ndim == 2:
        seen = images.reshape(-1)[flat_index] != 0
    else:
        flat = np.broadcast_to(images, (*points.shape[:-2], CROP_PX, CROP_PX)).reshape(-1, CROP_PX * CROP_PX)
        number = np.arange(len(flat)).reshape(*points.shape[:-2], 1)
        seen = flat[number, flat_index] != 0
    return (inside & seen).view(np.uint8)
