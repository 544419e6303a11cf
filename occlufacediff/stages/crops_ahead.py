"""Crops that detection makes in passing, so that a clip is decoded once for its landmarks and its crops.

Decoding a 1080p clip costs more than finding its landmarks. While a subject has no clip store yet, detection therefore
crops every face it finds on the frame at hand, and leaves the crops of the followed one, as they will stand in the
store, where the crop stage keeps its parts; that stage takes them and removes them. They are no result:
where one is missing or was made from something else, the crop stage decodes the clip, and the bytes are the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.crop import CropSettings
from occlufacediff.landmarks.crop import crop_image
from occlufacediff.landmarks.detect import Detector, Track, track_face
from occlufacediff.landmarks.normalise import crop_boxes
from occlufacediff.landmarks.store import encode_crop
from occlufacediff.media.frames import read_frames
from occlufacediff.stages.left_crops import Jpeg, leave_crops


@dataclass(frozen=True)
class CropsAhead:
    """Tracks faces, and leaves their crops for the crop stage that will write ``clips_h5``."""

    clips_h5: Path
    settings: CropSettings

    def track(self, clip: str, video: Path, detector: Detector) -> Track:
        """`track_face` over ``video``; the crops are left unless a frame shows no face or the clip store is there."""
        frames = read_frames(video, threads=1)
        if self.clips_h5.exists():
            return track_face(frames, detector)
        cropping = _Cropping(detector, self.settings)
        track = track_face(frames, cropping)
        if cropping.crops is not None and (track.face_index >= 0).all():
            jpegs = [crops[number] for crops, number in zip(cropping.crops, track.face_index, strict=True)]
            leave_crops(
                self.clips_h5, clip, video, crop_boxes(track.landmarks, self.settings.scale), jpegs, self.settings
            )
        return track


class _Cropping:
    """A detector that crops what it finds."""

    def __init__(self, detector: Detector, settings: CropSettings) -> None:
        self._detector, self._settings = detector, settings
        #: Of every frame since the last `reset`, the crop of every face; None once a frame showed none.
        self.crops: list[Sequence[Jpeg]] | None = []

    def detect(self, frame: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Faces of a frame; see `Detector`."""
        faces = self._detector.detect(frame)
        if self.crops is not None and len(faces):
            boxes = crop_boxes(faces, self._settings.scale)
            self.crops.append([encode_crop(crop_image(frame, box), self._settings.jpeg_quality) for box in boxes])
        else:
            self.crops = None
        return faces

    def reset(self) -> None:
        """Drop the state of earlier frames."""
        self._detector.reset()
        self.crops = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._detector.__exit__(kind, error, trace)
