"""The network's input: the crop at a quarter of its pixels, with the face mesh drawn into two more channels."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import CONTOUR, LEFT_BROW, LEFT_EYE, LIPS_INNER, LIPS_OUTER, RIGHT_BROW, RIGHT_EYE
from occlufacediff.landmarks.normalise import CROP_PX

#: Edge of the network's input, pixels.
INPUT_PX = CROP_PX // 2
CHANNELS = 5
_NOSE_LINE = (168, 6, 195, 4, 2)
_RINGS = (LIPS_OUTER, LIPS_INNER, LEFT_EYE, RIGHT_EYE)
_LINES = (LEFT_BROW[:5], LEFT_BROW[5:], RIGHT_BROW[:5], RIGHT_BROW[5:], _NOSE_LINE)
_SHIFT = 3


def network_input(picture: NDArray[np.uint8], landmarks: NDArray[np.floating]) -> NDArray[np.float32]:
    """Input (5, 112, 112) of the network.

    The three colours have zero mean and are divided by one standard deviation, both inside the contour of the face
    mesh, so that neither skin colour nor light matters. The other channels are the filled contour, and lines of lips,
    eyes, brows and nose.

    Args:
        picture: (112, 112, 3) RGB, the crop at half its edge.
        landmarks: (468, 2) crop coordinates in [-1, 1].
    """
    contour, lines = draw_mesh(landmarks)
    inside = contour > 0
    values = picture.astype(np.float32)
    within = values[inside] if inside.any() else values.reshape(-1, 3)
    centred = (values - within.mean(axis=0)) / (within.std() + 4.0)
    out = np.empty((CHANNELS, INPUT_PX, INPUT_PX), np.float32)
    out[:3] = centred.transpose(2, 0, 1)
    out[3], out[4] = contour / 255.0, lines / 255.0
    return np.clip(out, -5, 5, out=out)


def draw_mesh(landmarks: NDArray[np.floating]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Filled contour and feature lines, (112, 112) uint8 each, of landmarks (468, 2) in crop coordinates."""
    points = np.nan_to_num((np.asarray(landmarks, np.float64) + 1) * (INPUT_PX / 2))
    fixed = np.clip(np.round(points * 2**_SHIFT), -30000, 30000).astype(np.int32)
    contour = np.zeros((INPUT_PX, INPUT_PX), np.uint8)
    lines = np.zeros_like(contour)
    cv2.fillPoly(contour, [fixed[list(CONTOUR)]], (255,), shift=_SHIFT)
    cv2.polylines(lines, [fixed[list(ring)] for ring in _RINGS], True, (255,), 1, cv2.LINE_AA, shift=_SHIFT)
    cv2.polylines(lines, [fixed[list(line)] for line in _LINES], False, (255,), 1, cv2.LINE_AA, shift=_SHIFT)
    return contour, lines
