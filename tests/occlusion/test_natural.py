"""Pictures of objects that move over the face."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image, ImageDraw

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.predictions import read_occlusion, write_occlusion
from occlufacediff.files import sha256
from occlufacediff.landmarks.visibility import visible_landmarks
from occlufacediff.occlusion.moving_picture import MovingPicture
from occlufacediff.occlusion.occlude import occlude
from occlufacediff.occlusion.occluder_images import occluder_digests, read_object
from occlufacediff.occlusion.published_test import published_occlusion


@pytest.fixture
def objects(tmp_path: Path) -> Path:
    """A folder with a tall and a round object, each with an empty border."""
    folder = tmp_path / "objects"
    folder.mkdir()
    for name, size, shape, colour in (
        ("cup.png", (300, 500), (100, 50, 250, 450), (200, 30, 30, 255)),
        ("ball.png", (400, 400), (20, 20, 380, 380), (30, 30, 200, 255)),
    ):
        image = Image.new("RGBA", size)
        ImageDraw.Draw(image).ellipse(shape, fill=colour)
        image.save(folder / name)
    return folder


def face(frames: int = 120) -> np.ndarray:
    """Landmarks all over the crop."""
    still = np.random.default_rng(0).uniform(-0.8, 0.8, (468, 2))
    return np.repeat(still[None], frames, 0).astype(np.float32)


def settings_of(objects: Path) -> OcclusionSettings:
    return OcclusionSettings(occluders=str(objects))


def test_the_object_enters_rests_and_leaves(objects: Path) -> None:
    lmk = face()
    for seed in range(8):
        occlusion = occlude("natural", lmk, np.random.default_rng(seed), settings_of(objects))
        area = occlusion.image_mask().sum(axis=(1, 2))
        frames = np.flatnonzero(occlusion.frames)
        assert not area[~occlusion.frames].any()
        assert (area[occlusion.frames] > 0).all()
        assert not occlusion.frames[0]
        assert not occlusion.frames[-1]
        middle = area[frames[len(frames) // 2]]
        # At its place it hides a large part of the crop; while it enters and leaves, less.
        assert middle > 0.04 * 224 * 224
        assert area[frames[0]] < middle
        assert area[frames[-1]] < middle
        assert occlusion.moving is not None
        assert np.ptp(occlusion.moving.path[frames, :2], axis=0).max() > 5


@pytest.mark.parametrize("draw", [occlude, published_occlusion])
def test_landmarks_agree_with_the_image_of_each_frame(draw, objects: Path) -> None:
    lmk = face(90)
    lmk[3, 7] = np.nan
    lmk[4, 8] = (1.3, 0.0)
    occlusion = draw("natural", lmk, np.random.default_rng(2), settings_of(objects))
    hidden = occlusion.image_mask()
    np.testing.assert_array_equal(occlusion.lmk_mask(lmk), visible_landmarks(lmk, ~hidden))
    assert (occlusion.lmk_mask(lmk)[occlusion.frames] == 0).any()
    np.testing.assert_array_equal(occlusion.image_mask(slice(40, 42)), hidden[40:42])
    for frame in (0, 45):
        image = occlusion.occluder(frame)
        if image is None:
            assert not hidden[frame].any()
        else:
            np.testing.assert_array_equal(image[..., 3] >= 128, hidden[frame])


def test_equal_generators_give_equal_paths_and_all_objects_are_drawn(objects: Path) -> None:
    lmk = face(60)
    draws = [
        [occlude("natural", lmk, np.random.default_rng([seed]), settings_of(objects)) for seed in range(12)]
        for _ in range(2)
    ]
    for one, other in zip(*draws, strict=True):
        np.testing.assert_array_equal(one.moving.path, other.moving.path)
    assert len({one.moving.picture.shape for one in draws[0]}) == 2


def test_the_path_does_not_follow_the_lips(objects: Path) -> None:
    still, speaking = face(), face()
    # Lips that open and close ten times a clip.
    from occlufacediff.face_mesh import LIPS

    speaking[:, list(LIPS), 1] += (0.1 * np.sin(np.arange(120) / 2))[:, None]
    for seed in range(6):
        paths = [
            occlude("natural", lmk, np.random.default_rng(seed), settings_of(objects)).moving.path
            for lmk in (still, speaking)
        ]
        difference = np.diff(paths[1] - paths[0], axis=0)
        assert np.abs(difference[:, :2]).max() < 1.0


def test_objects_are_cut_to_their_opaque_part(objects: Path) -> None:
    cup = read_object(objects / "cup.png")
    # 500 pixels become 224; the ellipse has 150 x 400 of 300 x 500.
    assert abs(cup.shape[0] - 400 * 224 / 500) < 3
    assert abs(cup.shape[1] - 150 * 224 / 500) < 3
    assert (cup[cup.shape[0] // 2, cup.shape[1] // 2] == (200, 30, 30, 255)).all()


def test_a_picture_is_turned_and_moved() -> None:
    picture = np.zeros((10, 40, 4), np.uint8)
    picture[..., 3] = 255
    quarter = MovingPicture(picture, np.array([[112, 112, 1, 0], [50, 60, 1, np.pi / 2]], np.float32))
    first, second = quarter.image_masks(slice(None), 128)
    rows, columns = np.nonzero(first)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (107, 116, 92, 131)
    rows, columns = np.nonzero(second)
    assert np.ptp(rows) in (39, 40)
    assert np.ptp(columns) in (9, 10)
    assert abs(rows.mean() - 60) < 1
    assert abs(columns.mean() - 50) < 1


def test_predictions_store_the_moving_object(objects: Path, tmp_path: Path) -> None:
    lmk = face(60)
    occlusion = occlude("natural", lmk, np.random.default_rng(1), settings_of(objects))
    with h5py.File(tmp_path / "predictions.h5", "w") as file:
        write_occlusion(file, "A/happy/level_1/000", occlusion, occlusion.lmk_mask(lmk))
    kept, _ = read_occlusion(tmp_path / "predictions.h5", "natural", "A/happy/level_1/000")
    np.testing.assert_array_equal(kept.image_mask(), occlusion.image_mask())
    assert kept.opaque == occlusion.opaque


def test_the_kind_natural_needs_objects(objects: Path, tmp_path: Path) -> None:
    # The evaluation paints occluders of its own.
    assert EvaluationSettings(occlusions=("none", "natural")).painted == ("natural",)
    with pytest.raises(ValueError, match=r"occlusion: got 'natural', needs region\.occluders"):
        PredictionSettings(occlusion="natural")
    with pytest.raises(ValueError, match="occluders: got null"):
        occlude("natural", face(50), np.random.default_rng(0), OcclusionSettings())
    Image.new("RGB", (20, 20)).save(tmp_path / "photo.png")
    with pytest.raises(ConfigError, match=r"photo\.png has no transparency .*cut out of their background"):
        read_object(tmp_path / "photo.png")
    assert occluder_digests(None, ["natural"], str(objects)) == [
        sha256(objects / "ball.png"),
        sha256(objects / "cup.png"),
    ]
    assert occluder_digests(None, ["mouth"], str(objects)) == []
