"""Results of another video of equal name are not replaced; those of an older version of the video are."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from occlufacediff.errors import ConfigError
from occlufacediff.prediction.source import SOURCE_DIGEST, SOURCE_NAME, Source, check_replaceable


def results_of(video: Path, folder: Path) -> Path:
    source = Source.of(video)
    motion = folder / "motion.npz"
    np.savez(motion, **{SOURCE_NAME: np.asarray(source.name), SOURCE_DIGEST: np.asarray(source.digest)})
    return motion


def test_another_video_of_equal_name_is_refused(tmp_path: Path):
    for folder in ("first", "second"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "talk.mp4").write_bytes(folder.encode())
        os.utime(tmp_path / folder / "talk.mp4", (1e9, 1e9))
    motion = results_of(tmp_path / "first" / "talk.mp4", tmp_path)
    check_replaceable(motion, tmp_path / "first" / "talk.mp4")
    with pytest.raises(ConfigError, match=r"video: .* results of another video, talk\.mp4 .*Rename the video"):
        check_replaceable(motion, tmp_path / "second" / "talk.mp4")


def test_a_newer_version_of_the_video_replaces_its_results(tmp_path: Path):
    video = tmp_path / "talk.mp4"
    video.write_bytes(b"old")
    motion = results_of(video, tmp_path)
    video.write_bytes(b"new")
    later = motion.stat().st_mtime + 1
    os.utime(video, (later, later))
    check_replaceable(motion, video)


def test_a_folder_without_results_is_free(tmp_path: Path):
    video = tmp_path / "talk.mp4"
    video.write_bytes(b"new")
    check_replaceable(tmp_path / "motion.npz", video)
