"""Stages in chunks: what the subject's own job writes is the same, faulty clips included."""

from __future__ import annotations

import shutil

import pytest
from preprocessed import Shard

from occlufacediff.config.audio import AudioSettings
from occlufacediff.config.crop import CropSettings
from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.video import VideoSettings
from occlufacediff.files import sha256
from occlufacediff.stages.audio import extract_subject
from occlufacediff.stages.crop import crop_subject
from occlufacediff.stages.landmarks import detect_subject
from occlufacediff.stages.video import convert_subject
from occlufacediff.workflow.chunks import names
from occlufacediff.workflow.shards import parts_folder


@pytest.mark.parametrize("count", [2, 20], ids=["halves", "more chunks than clips"])
def test_joined_chunks_are_the_same_bytes(shard, tmp_path, count):
    shutil.copytree(shard.raw, tmp_path / "raw" / "S1")
    s = Shard(tmp_path)
    work = {
        s.video: lambda chunk: convert_subject(
            "S1", s.raw, s.raw_index, s.video, s.video_index, settings=VideoSettings(), chunk=chunk
        ),
        s.audio: lambda chunk: extract_subject(
            "S1", s.raw, s.raw_index, s.audio, s.audio_index, settings=AudioSettings(), chunk=chunk
        ),
        s.landmarks: lambda chunk: detect_subject(
            "S1", s.video, s.video_index, s.landmarks, s.landmarks_index, settings=LandmarkSettings(), chunk=chunk
        ),
        s.clips: lambda chunk: crop_subject(
            "S1", s.video, s.video_index, s.landmarks, s.clips, s.clips_index, settings=CropSettings(), chunk=chunk
        ),
    }
    for output, stage in work.items():
        for chunk in names(count):
            stage(chunk)
            assert not output.is_file()
        stage(None)
        assert not parts_folder(output).exists()
    for name in ("audio", "landmarks", "clips"):
        assert sha256(getattr(s, name)) == sha256(getattr(shard, name)), name
    for name in ("video_index", "audio_index", "landmarks_index", "clips_index"):
        # Messages name files.
        text = getattr(s, name).read_text().replace(str(s.root), str(shard.root))
        assert text == getattr(shard, name).read_text(), name
