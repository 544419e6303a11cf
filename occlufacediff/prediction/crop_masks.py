"""Occluded pixels of each frame's crop, compressed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.landmarks.normalise import CROP_PX

Mask = NDArray[np.bool_]


def packed(mask: Mask) -> bytes:
    """Compress a mask (224, 224), True where occluded; a rectangle takes under 300 bytes, not 50 kB."""
    return zlib.compress(np.packbits(mask).tobytes(), 1)


@dataclass(frozen=True, eq=False)
class CropMasks:
    """Masks (224, 224) of T frames, True where occluded: ``masks[frame]``.

    Attributes:
        frames: (T,) masks from `packed`; None where nothing is occluded.
    """

    frames: tuple[bytes | None, ...]

    def __getitem__(self, frame: int) -> Mask:
        content = self.frames[frame]
        if content is None:
            return np.zeros((CROP_PX, CROP_PX), np.bool_)
        bits = np.frombuffer(zlib.decompress(content), np.uint8)
        return np.unpackbits(bits).reshape(CROP_PX, CROP_PX).astype(bool)
