"""Images of occluders: reading, drawing, occlusion, and rejected files."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from occlufacediff.config.evaluation import EvaluationSettings
from occlufacediff.config.occlusion import OcclusionSettings
from occlufacediff.config.prediction import PredictionSettings
from occlufacediff.errors import ConfigError
from occlufacediff.evaluation.predictions import read_occlusion, write_occlusion
from occlufacediff.files import sha256
from occlufacediff.landmarks.visibility import visible_landmarks
from occlufacediff.occlusion.occlude import occlude
from occlufacediff.occlusion.occluder_images import occluder_digests, occluder_files, read_occluder


def occluder(path: Path, box: tuple[int, int, int, int], size: int = 256, alpha: int = 255) -> Path:
    """A red rectangle `x0 y0 x1 y1` on transparent green."""
    pixels = np.zeros((size, size, 4), np.uint8)
    pixels[...] = (0, 255, 0, 0)
    pixels[box[1] : box[3], box[0] : box[2]] = (255, 0, 0, alpha)
    Image.fromarray(pixels).save(path)
    return path


def points(frames: int = 80) -> np.ndarray:
    """Landmarks inside the crop and a few outside it."""
    return np.random.default_rng(0).uniform(-1.1, 1.1, (frames, 468, 2)).astype(np.float32)


def test_an_image_is_resized_to_the_crop_without_colour_bleeding(tmp_path: Path) -> None:
    # 64 px of 256 are 56 of 224.
    pixels = read_occluder(occluder(tmp_path / "a.png", (64, 128, 192, 256)))
    assert pixels.shape == (224, 224, 4)
    opaque = pixels[..., 3] >= 128
    expected = np.zeros((224, 224), bool)
    expected[112:, 56:168] = True
    np.testing.assert_array_equal(opaque, expected)
    assert (pixels[opaque][:, :3] == (255, 0, 0)).all()


def test_landmarks_under_the_image_are_occluded_over_a_span(tmp_path: Path) -> None:
    settings = OcclusionSettings(pictures=str(occluder(tmp_path / "a.png", (40, 120, 200, 250))))
    lmk = points()
    occlusion = occlude("picture", lmk, np.random.default_rng(1), settings)
    masks, visible = occlusion.image_mask(), occlusion.lmk_mask(lmk)
    assert 0 < occlusion.frames.sum() < len(lmk)
    assert not masks[~occlusion.frames].any()
    np.testing.assert_array_equal(visible, visible_landmarks(lmk, ~masks))
    np.testing.assert_array_equal(occlusion.image_mask(slice(30, 31)), masks[30:31])
    always = OcclusionSettings(pictures=settings.pictures, whole_clip=("picture",))
    assert occlude("picture", lmk, np.random.default_rng(1), always).frames.all()


def test_digests_are_of_the_images_that_are_used(tmp_path: Path) -> None:
    occluder(tmp_path / "a10.png", (0, 0, 128, 128))
    occluder(tmp_path / "a2.png", (0, 0, 64, 64))
    (tmp_path / "notes.txt").touch()
    kinds, files = ["mouth", "picture"], [tmp_path / "a2.png", tmp_path / "a10.png"]
    assert occluder_digests(str(tmp_path), kinds) == [sha256(file) for file in files]
    assert occluder_digests(str(files[0]), kinds) == [sha256(files[0])]
    assert occluder_digests(str(tmp_path), ["mouth"]) == occluder_digests(None, kinds) == []
    with pytest.raises(ConfigError, match="no file or folder"):
        occluder_digests(str(tmp_path / "none"), kinds)


def test_one_image_of_a_folder_is_drawn_in_natural_order(tmp_path: Path) -> None:
    for number in (10, 2, 1):
        occluder(tmp_path / f"o{number}.png", (0, 0, 20 * number, 256))
    (tmp_path / "notes.txt").write_text("not a picture")
    assert [file.stem for file in occluder_files(tmp_path)] == ["o1", "o2", "o10"]
    settings = OcclusionSettings(pictures=str(tmp_path))
    draws = [[occlude("picture", points(), np.random.default_rng([k]), settings) for k in range(20)] for _ in range(2)]
    widths = [[int(one.image_mask().any(0)[0].sum()) for one in draw] for draw in draws]
    assert widths[0] == widths[1]
    assert len(set(widths[0])) == 3


def test_an_image_occludes_from_alpha_128(tmp_path: Path) -> None:
    assert (read_occluder(occluder(tmp_path / "a.png", (0, 0, 256, 256), alpha=128))[..., 3] >= 128).all()
    with pytest.raises(ConfigError, match=r"faint\.png occludes nothing"):
        read_occluder(occluder(tmp_path / "faint.png", (0, 0, 256, 256), alpha=127))


def test_unusable_occluders_are_rejected(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((256, 256, 3), np.uint8)).save(tmp_path / "opaque.png")
    Image.fromarray(np.full((200, 256, 4), 255, np.uint8)).save(tmp_path / "wide.png")
    (tmp_path / "text.png").write_text("not a picture")
    whole = occluder(tmp_path / "whole.png", (0, 0, 99, 99)).read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "spoilt.png").write_bytes(whole[:60] + b"\0" * 40 + whole[100:])
    for name, words in (
        ("opaque.png", "has no transparency"),
        ("wide.png", "256 x 200 pixels"),
        ("text.png", "not a readable image"),
        ("cut.png", "not a readable image"),
        ("spoilt.png", "not a readable image"),
    ):
        with pytest.raises(ConfigError, match=f"{name} .*{words}.*use square RGBA images"):
            read_occluder(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigError, match="empty has no image"):
        occluder_files(tmp_path / "empty")
    with pytest.raises(ConfigError, match=r"no file or folder .*missing"):
        occluder_files(tmp_path / "missing")


def test_the_kind_picture_needs_images() -> None:
    with pytest.raises(ValueError, match=r"occlusion: got 'picture', needs region\.pictures"):
        PredictionSettings(occlusion="picture")
    with pytest.raises(ValueError, match=r"occlusions: got 'picture', needs occlusion\.pictures"):
        EvaluationSettings(occlusions=("none", "picture"))
    with pytest.raises(ValueError, match="pictures: got null"):
        occlude("picture", points(), np.random.default_rng(0), OcclusionSettings())
    assert EvaluationSettings(occlusions=("picture",), occlusion=OcclusionSettings(pictures="folder")).occlusions


def test_predictions_store_the_occluder_image(tmp_path: Path) -> None:
    lmk = points()
    settings = OcclusionSettings(pictures=str(occluder(tmp_path / "a.png", (40, 120, 200, 250))))
    occlusion = occlude("picture", lmk, np.random.default_rng(1), settings)
    with h5py.File(tmp_path / "predictions.h5", "w") as file:
        write_occlusion(file, "A/happy/level_1/000", occlusion, occlusion.lmk_mask(lmk))
    kept, visible = read_occlusion(tmp_path / "predictions.h5", "picture", "A/happy/level_1/000")
    np.testing.assert_array_equal(kept.image_mask(), occlusion.image_mask())
    np.testing.assert_array_equal(visible, occlusion.lmk_mask(lmk))
