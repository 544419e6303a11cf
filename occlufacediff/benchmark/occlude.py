"""What is hidden of a recording: a region of the face over a span of the frames."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from occlufacediff.benchmark.recording import Recording
from occlufacediff.config.benchmark import BENCHMARK_REGIONS, BenchmarkRegion, BenchmarkSpan
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.occlusion.occlude import Occlusion, cover
from occlufacediff.occlusion.regions import only_known

#: Regions by the names they have among the occlusions.
KINDS: dict[BenchmarkRegion, str] = {
    "mouth": "mouth",
    "lower": "bottom",
    "upper": "upper",
    "side": "asym",
    "everything": "missing",
    "picture": "picture",
}
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


def span_of(count: int, span: BenchmarkSpan) -> NDArray[np.bool_]:
    """Frames (T,) that are hidden: the middle half, or all."""
    frames = np.ones(count, dtype=bool)
    if span == "middle":
        frames[: count // 4] = False
        frames[count - count // 4 :] = False
    return frames


def hide(
    recording: Recording, name: str, region: BenchmarkRegion, span: BenchmarkSpan, *, seed: int, pictures: str | None
) -> Hidden:
    """Hide a region over a span; the draw (which side, which picture) depends on seed and name alone.

    Args:
        pictures: of the occluders, for the region ``picture``; see `BenchmarkSettings`.

    Raises:
        ConfigError: ``pictures`` leads to no usable picture.
        ClipError: ``no_region``, none of the region is known.
    """
    lmk_2d = recording.lmk_2d
    rng = np.random.default_rng([seed, zlib.crc32(name.encode()), BENCHMARK_REGIONS.index(region)])
    frames = span_of(len(lmk_2d), span)
    settings = replace(WIDE, pictures=pictures)
    occlusion = cover(KINDS[region], only_known(lmk_2d, recording.known), frames, rng, settings)
    uncovered = occlusion.lmk_mask(lmk_2d) > 0
    return Hidden(occlusion, (uncovered & recording.known).astype(np.float32), recording.known & ~uncovered, frames)
