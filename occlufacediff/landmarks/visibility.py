"""Which landmarks a mask picture leaves visible."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.normalise import CROP_PX


def to_pixels(landmarks: NDArray[np.floating]) -> NDArray[np.int32]:
    """Normalised landmarks (..., 2) to crop pixels: ``trunc(112 v + 112)``, toward zero."""
    half = CROP_PX // 2
    return np.trunc(np.asarray(landmarks) * half + half).astype(np.int32)


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
    finite = np.isfinite(points).all(axis=-1)
    pixels = to_pixels(np.clip(np.where(finite[..., None], points, -9.0), -9.0, 9.0))
    inside = finite & ((pixels >= 0) & (pixels < CROP_PX)).all(axis=-1)
    x, y = np.moveaxis(np.clip(pixels, 0, CROP_PX - 1), -1, 0)
    pictures = np.broadcast_to(visible, (*points.shape[:-2], CROP_PX, CROP_PX))
    flat = pictures.reshape(*points.shape[:-2], CROP_PX * CROP_PX)
    seen = np.take_along_axis(flat, (y * CROP_PX + x).astype(np.intp), axis=-1) != 0
    return (inside & seen).astype(np.uint8)
