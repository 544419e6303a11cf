"""Occluders of the synthetic data set: which clip has which, and where it moves."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.synthetic.seeding import rng_for
from occlufacediff.visibility.moving import PaintedOccluder, draw_moving, face_motion

#: Shortest part of a clip during which an occluder is there, and frames before and after it.
_SHORTEST, _EDGE = 0.6, 8


def clip_occluder(
    clip_id: str, points: NDArray[np.float32], skin: NDArray[Any], settings: SyntheticSettings, seed: int
) -> PaintedOccluder | None:
    """The occluder of a clip; None for a clear one. It depends on the arguments only.

    Args:
        clip_id: ``<subject>/<clip>``.
        points: (T, 468, 2) true landmarks, pixels of the image.
        skin: (3,) colour of the face's skin.
        settings: ``occluders`` and ``occluded_clips``.
        seed: of the data set.
    """
    rng = rng_for(seed, clip_id, "occluder")
    if not settings.occluders or rng.random() >= settings.occluded_clips:
        return None
    kind = settings.occluders[int(rng.integers(len(settings.occluders)))]
    return draw_moving(kind, face_motion(points), skin, _span(len(points), rng), rng)


def _span(frames: int, rng: np.random.Generator) -> tuple[int, int]:
    """First frame of an occlusion and the frame after its last; it leaves some frames clear at both ends."""
    shortest, longest = int(np.ceil(_SHORTEST * frames)), frames - 2 * _EDGE
    if longest < shortest:
        return 0, frames
    length = int(rng.integers(shortest, longest + 1))
    start = int(rng.integers(_EDGE, frames - _EDGE - length + 1))
    return start, start + length
