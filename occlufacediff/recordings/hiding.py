"""What is hidden of a recording: a region of the face over a span of the frames."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.recordings import RECORDING_REGIONS, RecordingRegion, RecordingSpan
from occlufacediff.occlusion.occlude import NO_BOX, Occlusion, crop_pixels
from occlufacediff.occlusion.pictures import draw_occluder
from occlufacediff.occlusion.regions import region_box
from occlufacediff.recordings.recording import Recording

#: Regions by the names they have among the occlusions.
KINDS = {"mouth": "mouth", "lower": "bottom", "upper": "upper", "side": "asym", "everything": "missing"}
#: The box around the mouth hides chin and cheeks too: they tell of it.
WIDE = OcclusionSettings(mouth_with_chin=True, mouth_margin=0.2)


@dataclass(frozen=True, eq=False)
class Hidden:
    """A recording with a part of it hidden.

    Attributes:
        occlusion: what covers it.
        visible: (T, 468) 1 where a landmark is known and not covered.
        scored: (T, 468) True where a landmark was known and is covered.
        frames: (T,) True in the span.
    """

    occlusion: Occlusion
    visible: NDArray[np.float32]
    scored: NDArray[np.bool_]
    frames: NDArray[np.bool_]


def span_of(count: int, span: RecordingSpan) -> NDArray[np.bool_]:
    """Frames (T,) that are hidden: the middle half, or all."""
    frames = np.ones(count, dtype=bool)
    if span == "middle":
        frames[: count // 4] = False
        frames[count - count // 4 :] = False
    return frames


def hide(
    recording: Recording, name: str, region: RecordingRegion, span: RecordingSpan, *, seed: int, pictures: Path | None
) -> Hidden:
    """Hide a region over a span; the draw (which side, which picture) depends on seed and name alone.

    Raises:
        ConfigError: ``pictures`` leads to no usable picture.
    """
    lmk_2d = recording.lmk_2d
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), RECORDING_REGIONS.index(region)])
    frames = span_of(len(lmk_2d), span)
    if region == "picture":
        if pictures is None:
            raise ValueError("pictures: got nothing, needs a picture or a folder of them for the region 'picture'")
        none = np.tile(np.asarray(NO_BOX, np.int64), (len(lmk_2d), 1))
        occlusion = Occlusion(region, none, frames, picture=draw_occluder(pictures, rng))
    else:
        boxes, inverted = region_box(KINDS[region], lmk_2d, rng, WIDE)
        occlusion = Occlusion(region, crop_pixels(np.clip(boxes, -8, 8)), frames, inverted)
    uncovered = occlusion.lmk_mask(lmk_2d) > 0
    return Hidden(occlusion, (uncovered & recording.known).astype(np.float32), recording.known & ~uncovered, frames)
