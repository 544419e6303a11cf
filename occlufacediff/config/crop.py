"""Settings of crop and normalisation."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CropSettings:
    """The 224 x 224 crop around the face and how its pictures are stored."""

    #: Crop edge in mean edges (width and height) of the box of the landmarks; 1.1 * 1.35 in the published procedure.
    scale: float = 1.485
    #: JPEG quality of the stored pictures, 1 to 100 (4:4:4, no chroma subsampling).
    jpeg_quality: int = 92

    def __post_init__(self) -> None:
        if not 0.5 <= self.scale <= 5:
            raise ValueError(f"scale: got {self.scale}, needs 0.5 to 5")
        if not 1 <= self.jpeg_quality <= 100:
            raise ValueError(f"jpeg_quality: got {self.jpeg_quality}, needs 1 to 100")
