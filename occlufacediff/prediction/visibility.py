"""What is hidden in a video itself, kept for all its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.crop import crop_image
from occlufacediff.landmarks.normalise import CROP_PX
from occlufacediff.media.frames import read_frames
from occlufacediff.occlusion.visibility_source import VisibilitySource
from occlufacediff.prediction.observe import Progress


class Covered:
    """Masks (224, 224) of T frames, True where hidden, a bit a pixel: ``covered[frame]``.

    Args:
        frames: number of frames T.
    """

    def __init__(self, frames: int) -> None:
        self._bits = np.zeros((frames, CROP_PX * CROP_PX // 8), np.uint8)

    def __getitem__(self, frame: int) -> NDArray[np.bool_]:
        return np.unpackbits(self._bits[frame]).reshape(CROP_PX, CROP_PX).astype(bool)

    def add(self, frame: int, mask: NDArray[np.bool_]) -> None:
        """Hide what a mask (224, 224) hides, beside what is hidden already."""
        self._bits[frame] |= np.packbits(mask)


def look_at(
    video: Path, boxes: NDArray[np.floating], covers: Sequence[VisibilitySource], progress: Progress
) -> Covered:
    """Ask all covers about every frame; the video is decoded again only where one looks at pictures.

    Args:
        video: with T frames at 25 fps.
        boxes: (T, 3) crop boxes ``(x0, y0, size)``, source pixels.
        covers: whatever one of them hides is hidden.
        progress: told of every frame.
    """
    covered = Covered(len(boxes))
    if not any(cover.needs_crop for cover in covers):
        for frame, box in enumerate(boxes):
            for cover in covers:
                covered.add(frame, cover.occluded_pixels(frame, box, None))
        return covered
    for frame, (picture, box) in enumerate(zip(read_frames(video), boxes, strict=True)):
        crop = crop_image(picture, box)
        for cover in covers:
            covered.add(frame, cover.occluded_pixels(frame, box, crop))
        progress("visibility", frame + 1, len(boxes))
    return covered
