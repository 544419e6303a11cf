"""Settings of the report."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReportSettings:
    """What the report shows."""

    #: Number of result videos embedded in the page.
    videos: int = 2
    #: Longest part of a clip shown in a video, in seconds.
    video_seconds: float = 4.0
    #: Occlusion shown in the videos.
    video_occlusion: str = "mouth"
    #: Edge of one panel of a video, in pixels (even).
    panel_px: int = 256
    #: Vertex error drawn in the hottest colour, in millimetres.
    heat_max_mm: float = 6.0
    #: Pictures in the contact sheet at most.
    contact_pictures: int = 32
    #: Occlusion of the headline figure (lip vertex error).
    headline_occlusion: str = "mouth"

    def __post_init__(self) -> None:
        checks = [
            ("videos", self.videos, 0 <= self.videos <= 12, "0 to 12"),
            ("video_seconds", self.video_seconds, 0.4 <= self.video_seconds <= 60.0, "0.4 to 60"),
            ("panel_px", self.panel_px, self.panel_px >= 64 and self.panel_px % 2 == 0, "an even number from 64 up"),
            ("heat_max_mm", self.heat_max_mm, self.heat_max_mm > 0.0, "more than 0"),
            ("contact_pictures", self.contact_pictures, 0 <= self.contact_pictures <= 400, "0 to 400"),
        ]
        for name, value, holds, needs in checks:
            if not holds:
                raise ValueError(f"{name}: got {value!r}, needs {needs}")
