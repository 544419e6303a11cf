"""Settings of the conversion to 25 fps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from occlufacediff.config.constraints import Limits, RateFactor, Section

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]


@dataclass(frozen=True)
class VideoSettings(Section):
    """Conversion of clips to 25 fps (H.264 4:2:0 in mp4, without audio)."""

    #: Constant rate factor of x264: 0 is lossless, 51 the worst.
    crf: RateFactor = 18
    #: Speed preset of x264; faster presets give larger files.
    preset: Preset = "ultrafast"
    #: Shortest clip accepted; a shorter one fails with ``too_short``.
    min_seconds: Annotated[float, Limits(ge=0.04)] = 1.0
    #: Longest clip accepted; a longer one fails with ``too_long``. Damaged time stamps can claim hours.
    max_seconds: float = 600.0

    def __post_init__(self) -> None:
        if self.max_seconds < self.min_seconds:
            raise ValueError(f"max_seconds: got {self.max_seconds}, needs at least min_seconds ({self.min_seconds})")
