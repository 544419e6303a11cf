"""Crops the 224 x 224 image around the face."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.normalise import CROP_PX, crop_matrix


def crop_image(frame: NDArray[np.uint8], box: NDArray[np.floating]) -> NDArray[np.uint8]:
    """Warp a frame (H, W, 3) to the crop ``box`` (x0, y0, size): (224, 224, 3) uint8, bicubic, black outside."""
    warped = cv2.warpAffine(frame, crop_matrix(box)[:2], (CROP_PX, CROP_PX), flags=cv2.INTER_CUBIC)
    return np.asarray(warped, dtype=np.uint8)
