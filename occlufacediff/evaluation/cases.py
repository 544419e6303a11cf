"""Clips under occlusions: what a method has to reconstruct."""

from __future__ import annotations

import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.datasets.clips import Clip
from occlufacediff.occlusion.occlude import Occlusion, occlude

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Case:
    """A clip under an occlusion, with its visible landmarks.

    Attributes:
        clip_id: ``<subject>/<clip>``.
        clip: the clip.
        occlusion: what is occluded.
        visible: (T, 468) 1 where a landmark is occluded neither by the occlusion nor in the recording itself.
    """

    clip_id: str
    clip: Clip
    occlusion: Occlusion
    visible: Float


def make_case(clip_id: str, clip: Clip, kind: str, settings: EvaluationSettings, seed: int) -> Case:
    """Occlude part of a clip. The random draw depends on the seed and the names of clip and occlusion kind only.

    Raises:
        ValueError: the clip has no landmarks.
        ClipError: ``no_region``, no landmark of the region to occlude is known.
    """
    if clip.lmk_2d is None:
        raise ValueError(f"{clip_id}: got no landmarks, needs lmk_2d")
    rng = np.random.default_rng([seed, zlib.crc32(clip_id.encode()), zlib.crc32(kind.encode())])
    occlusion = occlude(kind, clip.lmk_2d, rng, settings.occlusion)
    visible = occlusion.lmk_mask(clip.lmk_2d)
    return Case(clip_id, clip, occlusion, visible if clip.lmk_visible is None else visible * clip.lmk_visible)


def unknown_frames(case: Case) -> NDArray[np.bool_]:
    """Frames (T,) in which something is occluded, or whose motion the recording does not show."""
    return case.occlusion.frames if case.clip.known is None else case.occlusion.frames | ~case.clip.known
