"""Round trip and errors of the clip store."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data

from occlufacediff.errors import AssetError
from occlufacediff.files import new_hdf5
from occlufacediff.landmarks.crop import crop_image
from occlufacediff.landmarks.store import StoredClip, encode_crop, read_clip, read_crops, write_clip


def sample(frames: int = 5) -> tuple[StoredClip, np.ndarray]:
    rng = np.random.default_rng(0)
    boxes = np.array([[150.0 + t, 20.0, 180.0] for t in range(frames)], np.float32)
    crops = np.stack([crop_image(skimage.data.astronaut(), box) for box in boxes])
    clip = StoredClip(
        landmarks=rng.uniform(-1, 1, (frames, 478, 2)).astype(np.float32),
        valid_frames_idx=np.array([0, 2], np.int32),
        crop_boxes=boxes,
        width=512,
        height=512,
        fps=25.0,
        n_faces_max=2,
    )
    return clip, crops


def test_round_trip_and_equal_bytes(tmp_path: Path) -> None:
    import h5py

    clip, crops = sample()
    for name in ("a.h5", "b.h5"):
        with new_hdf5(tmp_path / name) as file:
            write_clip(file.create_group("happy/level_1/001"), clip, [encode_crop(crop, 95) for crop in crops])
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()
    with h5py.File(tmp_path / "a.h5") as file:
        group = file["happy/level_1/001"]
        back = read_clip(group)
        for name in ("landmarks", "valid_frames_idx", "crop_boxes", "width", "height", "fps", "n_faces_max"):
            np.testing.assert_array_equal(getattr(back, name), getattr(clip, name))
        stored = read_crops(group)
        assert stored.shape == crops.shape == (5, 224, 224, 3)
        assert np.abs(stored.astype(int) - crops).mean() < 2
        np.testing.assert_array_equal(read_crops(group, 1, 3), stored[1:3])
        np.testing.assert_array_equal(read_crops(group, -1), stored[4:])
        assert read_crops(group, 3, 3).shape == (0, 224, 224, 3)


def test_an_incomplete_clip_is_named_in_the_error(tmp_path: Path) -> None:
    clip, crops = sample(2)
    with new_hdf5(tmp_path / "a.h5") as file:
        group = file.create_group("x")
        write_clip(group, clip, [encode_crop(crop, 95) for crop in crops])
        del group["crop_boxes"]
        with pytest.raises(AssetError, match=r"/x is not complete"):
            read_clip(group)
