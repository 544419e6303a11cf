"""What a face looks like, to tell persons apart: a small upright picture of it, compared by correlation and colour."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.topology import LEFT_EYE, LIPS_INNER, RIGHT_EYE

Image = NDArray[np.uint8]
Floats = NDArray[np.float32]

#: Edge of the picture in pixels, and where the right eye, the left eye and the mouth are in it.
_EDGE = 24
_PLACES = np.array([[7, 9], [17, 9], [12, 19]], np.float32)
#: Two faces are the same person if their pictures correlate at least this much and their mean colours differ by at
#: most this many units of CIELAB's a and b. Of 48 recordings, two halves of the same one reached this in 98 %, of two
#: different ones in 4 % (docs/visibility.md).
_CORRELATION, _COLOUR = 0.55, 12.0


@dataclass(frozen=True, eq=False)
class Looks:
    """Looks of a face in one frame.

    Attributes:
        picture: (576,) brightness, mean 0 and norm 1.
        colour: (2,) mean of CIELAB's a and b in the middle of the face.
    """

    picture: Floats
    colour: Floats

    @classmethod
    def of(cls, frame: Image, landmarks: Floats) -> Looks | None:
        """Looks of a face with landmarks (478, 2), pixels of a frame (H, W, 3) RGB; None if there is nothing to see."""
        points = np.stack([landmarks[list(part)].mean(axis=0) for part in (RIGHT_EYE, LEFT_EYE, LIPS_INNER)])
        if not np.isfinite(points).all():
            return None
        matrix, _ = cv2.estimateAffinePartial2D(points.astype(np.float32), _PLACES)
        if matrix is None:
            return None
        lab = cv2.cvtColor(cv2.warpAffine(frame, matrix, (_EDGE, _EDGE)), cv2.COLOR_RGB2LAB).astype(np.float32)
        picture = lab[..., 0].ravel() - lab[..., 0].mean()
        norm = float(np.linalg.norm(picture))
        if norm < _EDGE:
            # Less than one of 256 levels: black, or one colour.
            return None
        middle = slice(_EDGE // 4, -_EDGE // 4)
        colour = lab[middle, middle, 1:].mean(axis=(0, 1))
        return cls(picture / np.float32(norm), colour.astype(np.float32))


def same_person(one: list[Looks], other: list[Looks]) -> bool:
    """Whether two series of looks can be of one person; True if one of them is empty.

    The most similar pair decides, because hands and turned heads change looks.
    """
    if not one or not other:
        return True
    alike = np.stack([looks.picture for looks in one]) @ np.stack([looks.picture for looks in other]).T
    apart = np.stack([looks.colour for looks in one])[:, None] - np.stack([looks.colour for looks in other])[None]
    return bool(((alike >= _CORRELATION) & (np.linalg.norm(apart, axis=2) <= _COLOUR)).any())
