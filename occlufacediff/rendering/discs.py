"""Draws many antialiased discs, compiled by numba; a call of `cv2.circle` for each takes ten times as long."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray


def draw_discs(
    image: NDArray[np.uint8], centres: NDArray[np.floating], radius: float, colour: tuple[int, int, int]
) -> None:
    """Draw discs on an image (H, W, 3), in place.

    Args:
        image: is changed.
        centres: (N, 2) x and y, pixels; the middle of the first pixel is (0, 0).
        radius: of all discs, pixels.
        colour: RGB.
    """
    _draw(image, np.ascontiguousarray(centres, dtype=np.float32), float(radius), np.array(colour, dtype=np.float32))


@njit(cache=True, nogil=True)
def _draw(image: Any, centres: Any, radius: float, colour: Any) -> None:
    height, width = image.shape[:2]
    # Opacity falls from 1 to 0 over one pixel at the edge.
    reach = radius + 0.5
    for number in range(len(centres)):
        x, y = centres[number, 0], centres[number, 1]
        for row in range(max(math.ceil(y - reach), 0), min(math.floor(y + reach), height - 1) + 1):
            for column in range(max(math.ceil(x - reach), 0), min(math.floor(x + reach), width - 1) + 1):
                opacity = min(reach - math.hypot(column - x, row - y), 1.0)
                if opacity > 0:
                    for channel in range(3):
                        below = image[row, column, channel]
                        image[row, column, channel] = np.uint8(below + (colour[channel] - below) * opacity + 0.5)
