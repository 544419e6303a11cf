"""Paths of a preprocessed subject, and the stages that lead there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from occlufacediff.config.audio import AudioSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.video import VideoSettings


@dataclass(frozen=True)
class Shard:
    """Paths of one subject's files below a folder."""

    root: Path

    def __getattr__(self, name: str) -> Path:
        places = {
            "raw": "raw/S1",
            "raw_index": "raw/S1/index.csv",
            "video": "video25/S1",
            "video_index": "video25/S1/index.csv",
            "audio": "audio/S1.h5",
            "audio_index": "audio/S1.csv",
            "landmarks": "landmarks/S1.h5",
            "landmarks_index": "landmarks/S1.csv",
            "clips": "clips/S1.h5",
            "clips_index": "clips/S1.csv",
        }
        if name not in places:
            raise AttributeError(name)
        return self.root / places[name]


def preprocess(root: Path, archives: tuple[Path, Path], workers: int) -> Shard:
    """Run every stage from archives to the clip store."""
    from occlufacediff.stages.acquire import unpack_subject
    from occlufacediff.stages.audio import extract_subject
    from occlufacediff.stages.crop import crop_subject
    from occlufacediff.stages.landmarks import detect_subject
    from occlufacediff.stages.video import convert_subject

    s = Shard(root)
    unpack_subject("S1", *archives, s.raw, s.raw_index, view="front")
    convert_subject("S1", s.raw, s.raw_index, s.video, s.video_index, settings=VideoSettings(), workers=workers)
    extract_subject("S1", s.raw, s.raw_index, s.audio, s.audio_index, settings=AudioSettings(), workers=workers)
    detect_subject(
        "S1", s.video, s.video_index, s.landmarks, s.landmarks_index, settings=LandmarkSettings(), workers=workers
    )
    crop_subject(
        "S1", s.video, s.video_index, s.landmarks, s.clips, s.clips_index, settings=CropSettings(), workers=workers
    )
    return s
