"""Finds hands near the face with MediaPipe's hand detector, whose models are in its wheel, and draws their outline."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.native_output import filter_native_output
from occlufacediff.landmarks.normalise import CROP_PX

#: Smallest confidence of a detected and of a tracked hand.
MIN_CONFIDENCE = 0.4
#: Edge of the picture around the face in which hands are searched, in edges of the crop.
REACH = 2.2
#: Largest edge of this picture, pixels.
_SEARCH_PX = 288
#: Thickness of a finger, in distances from the wrist to the knuckle of the middle finger.
_FINGER = 0.24
_WRIST, _KNUCKLE = 0, 9
_PALM = (0, 1, 5, 9, 13, 17)
_BONES = ((0, 1, 2, 3, 4), (0, 5, 6, 7, 8), (9, 10, 11, 12), (13, 14, 15, 16), (0, 17, 18, 19, 20), (5, 9, 13, 17))


class HandFinder:
    """Finds up to two hands around a face. Load it only where something is near the face: it takes 30 MB."""

    def __init__(self) -> None:
        self._hands: Any = None

    def find(self, frame: NDArray[np.uint8], box: NDArray[np.floating]) -> NDArray[np.float32]:
        """Points (n, 21, 2) of the hands around a crop, in crop pixels.

        Args:
            frame: (H, W, 3) RGB.
            box: crop box ``(x0, y0, size)``, pixels of the frame.
        """
        if self._hands is None:
            filter_native_output()
            from mediapipe.python.solutions.hands import Hands

            self._hands = Hands(
                static_image_mode=True,
                max_num_hands=2,
                model_complexity=0,
                min_detection_confidence=MIN_CONFIDENCE,
                min_tracking_confidence=MIN_CONFIDENCE,
            )
        edge = float(box[2]) * REACH
        low = np.asarray(box[:2], np.float64) + box[2] / 2 - edge / 2
        pixels = int(min(_SEARCH_PX, max(edge, 96)))
        scale = pixels / edge
        matrix = np.array([[scale, 0, -low[0] * scale], [0, scale, -low[1] * scale]])
        around = cv2.warpAffine(frame, matrix, (pixels, pixels), flags=cv2.INTER_AREA)
        found = self._hands.process(np.ascontiguousarray(around)).multi_hand_landmarks or ()
        points = [[(point.x, point.y) for point in hand.landmark] for hand in found]
        unit = np.asarray(points, np.float32).reshape(-1, 21, 2)
        on_crop = (unit * edge + low - box[:2]) * (CROP_PX - 1) / box[2]
        return np.asarray(on_crop, np.float32)

    def close(self) -> None:
        """Free the networks."""
        if self._hands is not None:
            self._hands.close()
            self._hands = None


def draw_hands(hands: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Pixels (224, 224) of the crop that hands (n, 21, 2) cover: thick lines along the fingers, and the palm."""
    out = np.zeros((CROP_PX, CROP_PX), np.uint8)
    for hand in hands:
        fixed = np.clip(np.round(hand), -2000, 2000).astype(np.int32)
        width = max(1, round(_FINGER * float(np.linalg.norm(hand[_WRIST] - hand[_KNUCKLE]))))
        cv2.fillPoly(out, [fixed[list(_PALM)]], (1,))
        cv2.polylines(out, [fixed[list(chain)] for chain in _BONES], False, (1,), width)
    return out.astype(np.bool_)
