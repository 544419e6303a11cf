"""Segmentation models: a colour-based one with category names, and MediaPipe's person model."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mediapipe
import numpy as np
import pytest
import skimage.data
from colour_segmenter import write_colour_segmenter

from occlufacediff.config.load import check_settings
from occlufacediff.config.visibility import VisibilitySettings
from occlufacediff.errors import AssetError, ClipError, ConfigError
from occlufacediff.occlusion.segment import Segmenter
from occlufacediff.occlusion.visibility_source import check_source, visibility_source

MODELS = Path(mediapipe.__file__).parent / "modules"
#: A crop of a real face.
CROP = np.ascontiguousarray(skimage.data.astronaut()[10:234, 110:334])


def settings_of(model: Path, *visible: str, margin: int = 0) -> VisibilitySettings:
    return VisibilitySettings(source="segmentation", model=str(model), visible=visible, margin_px=margin)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_colour_segmenter(tmp_path_factory.mktemp("model") / "colours.tflite")


def test_pixels_outside_the_face_are_occluded(model: Path) -> None:
    crop = CROP.copy()
    crop[130:170, 80:140] = (0, 0, 255)
    crop[20:60, 20:60] = (0, 255, 0)
    face_only = Segmenter(settings_of(model, "face-skin")).occluded_pixels(crop)
    assert face_only[135:165, 85:135].all()
    assert face_only[25:55, 25:55].all()
    assert not face_only[62:120, 80:140].any()
    with_hands = Segmenter(settings_of(model, "face-skin", "body-skin")).occluded_pixels(crop)
    assert with_hands[135:165, 85:135].all()
    assert not with_hands[25:55, 25:55].any()


def test_the_margin_widens_the_face_and_results_are_deterministic(model: Path) -> None:
    crop = CROP.copy()
    crop[130:170, 80:140] = (0, 0, 255)
    wide = Segmenter(settings_of(model, "face-skin", margin=5)).occluded_pixels(crop)
    narrow = Segmenter(settings_of(model, "face-skin")).occluded_pixels(crop)
    assert (wide <= narrow).all()
    assert 20 <= wide[:, 110].sum() <= narrow[:, 110].sum() - 8
    assert (wide == Segmenter(settings_of(model, "face-skin", margin=5)).occluded_pixels(crop)).all()


def test_categories_of_a_model_without_names_are_given_by_index(tmp_path: Path, model: Path) -> None:
    nameless = write_colour_segmenter(tmp_path / "nameless.tflite", named=False)
    crop = CROP.copy()
    crop[130:170, 80:140] = (0, 0, 255)
    by_number = Segmenter(settings_of(nameless, "3")).occluded_pixels(crop)
    assert (by_number == Segmenter(settings_of(model, "face-skin")).occluded_pixels(crop)).all()
    with pytest.raises(
        AssetError, match=r"visibility\.visible: .*no category 'face-skin'; it has no category names, .* 0, 1, 2"
    ):
        Segmenter(settings_of(nameless, "face-skin"))


def test_the_person_model_of_the_wheel_marks_the_background_as_occluded() -> None:
    occluded = Segmenter(
        settings_of(MODELS / "selfie_segmentation/selfie_segmentation.tflite", "selfie")
    ).occluded_pixels(CROP)
    assert occluded[:30, :30].all()
    assert not occluded[60:150, 85:140].any()
    assert 0.1 < occluded.mean() < 0.7


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.tflite", r"visibility\.model: .*nowhere\.tflite"),
        ("text.tflite", r"visibility\.model: .*text\.tflite is not a segmentation model that MediaPipe can load"),
        ("empty.tflite", r"visibility\.model: .*empty\.tflite is not a segmentation model"),
        ("cut.tflite", r"visibility\.model: .*cut\.tflite is not a segmentation model"),
        (
            "face_landmark.tflite",
            r"visibility\.model: .*face_landmark\.tflite is not a segmentation model: its only out",
        ),
        ("face_detection.tflite", r"visibility\.model: .*face_detection\.tflite is not a segmentation model"),
        ("selfie.tflite", r"visibility\.visible: .*no category 'face-skin'; its categories are selfie"),
    ],
)
def test_an_unusable_model_raises_a_one_line_error(tmp_path: Path, model: Path, name: str, words: str) -> None:
    (tmp_path / "text.tflite").write_text("not a model")
    (tmp_path / "empty.tflite").write_bytes(b"")
    (tmp_path / "cut.tflite").write_bytes(model.read_bytes()[:600])
    for target, source in (
        ("face_landmark.tflite", "face_landmark/face_landmark.tflite"),
        ("face_detection.tflite", "face_detection/face_detection_short_range.tflite"),
        ("selfie.tflite", "selfie_segmentation/selfie_segmentation.tflite"),
    ):
        (tmp_path / target).write_bytes((MODELS / source).read_bytes())
    with pytest.raises(AssetError, match=words) as caught:
        check_source(settings_of(tmp_path / name, "face-skin"))
    assert "\n" not in str(caught.value)


def test_visibility_from_mask_files(tmp_path: Path) -> None:
    masks = VisibilitySettings(source="masks", masks=str(tmp_path / "masks"))
    with pytest.raises(ConfigError, match=r"visibility\.masks: there is no folder .*masks"):
        check_source(masks)
    (tmp_path / "masks").mkdir()
    check_source(masks)
    with pytest.raises(ClipError, match=r"has no mask for S1/happy/level_1/001 .*without_mask") as caught:
        visibility_source(masks, "S1/happy/level_1/001", (64, 64), 10)
    assert caught.value.reason == "no_mask"
    assert visibility_source(replace(masks, without_mask="visible"), "S1/happy/level_1/001", (64, 64), 10) is None
    assert visibility_source(VisibilitySettings(), "S1/happy/level_1/001", (64, 64), 10) is None
    (tmp_path / "masks" / "a.png").write_bytes(b"")
    (tmp_path / "masks" / "a.mp4").write_bytes(b"")
    with pytest.raises(ClipError, match=r"found both .*a\.mp4 and .*a\.png; keep one") as caught:
        visibility_source(masks, "a", (64, 64), 10)
    assert caught.value.reason == "bad_mask"


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "masks"},
        {"source": "segmentation"},
        {"visible": ()},
        {"margin_px": -1},
        {"known_part": 0.0},
        {"known_part": 1.5},
    ],
)
def test_invalid_settings_are_named_in_the_error(wrong: dict[str, object]) -> None:
    key = {"masks": "masks", "segmentation": "model"}.get(str(wrong.get("source")), next(iter(wrong)))
    with pytest.raises((ValueError, ConfigError), match=rf"^{key}: got .*needs"):
        check_settings(VisibilitySettings(**wrong))  # type: ignore[arg-type]
