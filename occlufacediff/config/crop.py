"""Settings of cropping."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from occlufacediff.config.constraints import Limits, Section


@dataclass(frozen=True)
class CropSettings(Section):
    """The 224 x 224 crop around the face and its compression."""

    #: Crop edge relative to the mean edge of the landmarks' bounding box; published: 1.1 * 1.35.
    scale: Annotated[float, Limits(0.5, 5)] = 1.485
    #: JPEG quality of stored crops, 1 to 100 (4:4:4, no chroma subsampling).
    jpeg_quality: Annotated[int, Limits(1, 100)] = 92
