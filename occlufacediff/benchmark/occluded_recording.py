"""Simulated occlusion of a recording: a region of the face over a span of frames."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from occlufacediff.benchmark.recording import Recording
from occlufacediff.config.benchmark import BenchmarkRegion, BenchmarkSpan
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.occlusion.occlude import Occlusion, occlude_frames
from occlufacediff.occlusion.regions import missing_to_nan

#: Occlusion kind of each region.
KINDS: dict[BenchmarkRegion, str] = {
    "mouth": "mouth",
    "lower": "bottom",
    "upper": "upper",
    "side": "asym",
    "everything": "missing",
    "picture": "picture",
}
#: The box around the mouth includes chin and cheeks, because they move with the mouth and would reveal its motion.
WIDE = OcclusionSettings(mouth_with_chin=True, mouth_margin=0.2)


@dataclass(frozen=True, eq=False)
class OccludedRecording:
    """What is occluded in a recording of T frames.

    Attributes:
        occlusion: region and frames.
        visible: (T, 468) 1 where a landmark was detected and is not occluded.
        scored: (T, 468) True where a landmark was detected and is occluded.
        frames: (T,) True in the span.
    """

    occlusion: Occlusion
    visible: NDArray[np.float32]
    scored: NDArray[np.bool_]
    frames: NDArray[np.bool_]


def span_frames(count: int, span: BenchmarkSpan) -> NDArray[np.bool_]:
    """Frames (T,) of a span: the middle half, or all."""
    frames = np.ones(count, dtype=bool)
    if span == "middle":
        frames[: count // 4] = False
        frames[count - count // 4 :] = False
    return frames


def occlude_recording(
    recording: Recording, name: str, region: BenchmarkRegion, span: BenchmarkSpan, *, seed: int, pictures: str | None
) -> OccludedRecording:
    """Occlude a region over a span.

    The random draw (which side, which picture) depends on the seed, the clip's name and the region's name only.

    Args:
        recording: the clip.
        name: its name.
        region: what to occlude.
        span: in which frames.
        seed: of the draw.
        pictures: pictures of occluders for the region ``picture``; see `BenchmarkSettings`.

    Raises:
        ConfigError: ``pictures`` contains no usable picture.
        ClipError: ``no_region``, no landmark of the region was detected.
    """
    lmk_2d = recording.lmk_2d
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(region.encode())])
    frames = span_frames(len(lmk_2d), span)
    settings = replace(WIDE, pictures=pictures)
    occlusion = occlude_frames(KINDS[region], missing_to_nan(lmk_2d, recording.known), frames, rng, settings)
    outside = occlusion.lmk_mask(lmk_2d) > 0
    visible = (outside & recording.known).astype(np.float32)
    return OccludedRecording(occlusion, visible, recording.known & ~outside, frames)
