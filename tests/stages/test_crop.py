"""The crop stage, and the whole chain of shard stages with more workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import numpy as np
import pytest
from preprocessed import Shard, preprocess

from occlufacediff.config.crop import CropSettings
from occlufacediff.landmarks.normalise import crop_boxes, from_crop
from occlufacediff.landmarks.store import read_clip, read_crops
from occlufacediff.stages.crop import crop_subject
from occlufacediff.workflow.shards import read_index


def test_store_agrees_with_the_landmarks(shard: Shard) -> None:
    rows = {row["clip"]: row for row in read_index(shard.clips_index)}
    assert all(row["status"] == "ok" for row in rows.values())
    assert rows["happy/level_1/001"]["frames_interpolated"] == "0"
    with h5py.File(shard.clips) as clips, h5py.File(shard.landmarks) as landmarks:
        clip = read_clip(clips["happy/level_1/001"])
        source = np.asarray(landmarks["happy/level_1/001/landmarks_px"])
        crops = read_crops(clips["happy/level_1/001"])
    assert clip.frames == len(crops) == 27
    np.testing.assert_allclose(clip.crop_boxes, crop_boxes(source), atol=1e-3)
    np.testing.assert_allclose(from_crop(clip.landmarks, clip.crop_boxes), source, atol=1e-2)
    assert clip.valid_frames_idx.tolist() == list(range(27))
    assert 40 < crops.mean() < 200


def test_missing_frames_are_interpolated(shard: Shard, tmp_path: Path) -> None:
    shutil.copyfile(shard.landmarks, tmp_path / "l.h5")
    with h5py.File(tmp_path / "l.h5", "r+") as file:
        file["happy/level_1/001/landmarks_px"][5:8] = np.nan
    crop_subject(
        *("S1", shard.video, shard.video_index, tmp_path / "l.h5", tmp_path / "c.h5", tmp_path / "c.csv"),
        settings=CropSettings(scale=2.0),
    )
    rows = {row["clip"]: row for row in read_index(tmp_path / "c.csv")}
    assert rows["happy/level_1/001"]["frames_interpolated"] == "3"
    assert rows["happy/level_1/002"]["frames_interpolated"] == "0"
    with h5py.File(tmp_path / "c.h5") as file:
        clip = read_clip(file["happy/level_1/001"])
        assert np.isfinite(clip.landmarks).all()
        assert set(range(27)) - set(clip.valid_frames_idx.tolist()) == {5, 6, 7}
        assert np.abs(clip.landmarks).max() < 0.6


@pytest.mark.slow
def test_bytes_do_not_depend_on_the_number_of_workers(
    shard: Shard, archives: tuple[Path, Path], tmp_path: Path
) -> None:
    other = preprocess(tmp_path, archives, 2)
    names = sorted(str(path.relative_to(shard.root)) for path in shard.root.rglob("*") if path.is_file())
    assert names == sorted(str(path.relative_to(other.root)) for path in other.root.rglob("*") if path.is_file())
    assert not any(".parts" in name for name in names)
    for name in names:
        if not name.endswith(".json"):
            here, there = (shard.root / name).read_bytes(), (other.root / name).read_bytes()
            # Messages name the file.
            assert here.replace(bytes(shard.root), b"") == there.replace(bytes(other.root), b""), name
