"""The 25 fps stage."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from preprocessed import Shard

from occlufacediff.config.video import VideoSettings
from occlufacediff.media.probe import probe
from occlufacediff.stages.video import convert_subject
from occlufacediff.workflow.shards import read_index


def test_rows_and_files(shard: Shard) -> None:
    rows = {row["clip"]: row for row in read_index(shard.video_index)}
    reasons = {clip: row["reason"] for clip, row in rows.items() if row["status"] == "failed"}
    assert reasons == {
        "sad/level_1/002": "too_short",
        "sad/level_1/003": "broken_video",
        "sad/level_1/004": "broken_video",
    }
    assert "002.mp4" in rows["sad/level_1/002"]["message"]
    good = rows["happy/level_1/001"]
    assert (good["frames"], good["source_fps"], good["source_width"]) == ("27", "30.0", "256")
    video = probe(shard.video / good["video"]).require_video()
    assert (video.fps, video.codec, video.pixel_format) == (25.0, "h264", "yuv420p")
    assert not (shard.video / "sad/level_1/002.mp4").exists()


def test_only_changed_clips_are_converted_again(shard: Shard, tmp_path: Path) -> None:
    raw, video = tmp_path / "raw", tmp_path / "video25"
    shutil.copytree(shard.raw, raw)
    shutil.copytree(shard.video, video)
    for path in video.rglob("*.mp4"):
        os.utime(path, (0, 0))
    shutil.copyfile(raw / "video/happy/level_1/002.mp4", raw / "video/happy/level_1/001.mp4")
    arguments = ("S1", raw, raw / "index.csv", video, video / "index.csv")
    convert_subject(*arguments, settings=VideoSettings())
    fresh = {str(path.relative_to(video)) for path in video.rglob("*.mp4") if path.stat().st_mtime > 0}
    assert fresh == {"happy/level_1/001.mp4"}
    convert_subject(*arguments, settings=VideoSettings(crf=30))
    assert all(path.stat().st_mtime > 0 for path in video.rglob("*.mp4"))
