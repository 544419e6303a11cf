"""Settings of the conversion to 25 frames a second."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Preset = Literal["ultrafast", "superfast", "veryfast", "faster", "fast", "medium", "slow"]


@dataclass(frozen=True)
class VideoSettings:
    """How a clip is brought to 25 fps (H.264 4:2:0 in mp4, without sound)."""

    #: Constant rate factor of x264: 0 is lossless, 51 the worst.
    crf: int = 18
    #: Speed preset of x264; faster ones give larger files.
    preset: Preset = "ultrafast"
    #: Shortest clip accepted, in seconds; a shorter one fails with the reason ``too_short``.
    min_seconds: float = 1.0
    #: Longest clip accepted, in seconds; a longer one fails with the reason ``too_long``. Damaged time stamps can tell
    #: of hours, and each frame of them would be written.
    max_seconds: float = 600.0

    def __post_init__(self) -> None:
        if not 0 <= self.crf <= 51:
            raise ValueError(f"crf: got {self.crf}, needs 0 to 51")
        if self.min_seconds < 0.04:
            raise ValueError(f"min_seconds: got {self.min_seconds}, needs at least one frame (0.04)")
        if self.max_seconds < self.min_seconds:
            raise ValueError(f"max_seconds: got {self.max_seconds}, needs at least min_seconds ({self.min_seconds})")
