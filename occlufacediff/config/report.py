"""Settings of the report."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from occlufacediff.config.constraints import DISTINCT, EvenPixels, Limits, Name, Positive, Section


@dataclass(frozen=True)
class ReportSettings(Section):
    """Content of the report."""

    #: Number of result videos.
    videos: Annotated[int, Limits(0, 12)] = 2
    #: Maximum duration of a video.
    video_seconds: Annotated[float, Limits(0.4, 60)] = 4.0
    #: Occlusion kind of the videos, the 3D view and the heat maps.
    video_occlusion: str = "mouth"
    #: Edge of one panel of a video, in pixels (even).
    panel_px: EvenPixels = 256
    #: Vertex error of the hottest colour, in millimetres.
    heat_max_mm: Positive = 6.0
    #: Show the best, median and worst clip in a 3D view; adds about 3 MB to the page.
    viewer: bool = True
    #: Maximum number of clips of the heat maps, evenly spaced; 0: no heat maps.
    heat_clips: Annotated[int, Limits(0, 10000)] = 40
    #: Maximum number of pictures in the contact sheet.
    contact_pictures: Annotated[int, Limits(0, 400)] = 32
    #: Occlusion kind of the headline figure (lip vertex error).
    headline_occlusion: str = "mouth"
    #: Other runs of this data set to compare this run with, by name; they must be evaluated already.
    compare: Annotated[tuple[Name, ...], DISTINCT] = ()
