"""Segmentation models, run for real: by colour with names of categories, and MediaPipe's own of whole persons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import mediapipe
import numpy as np
import pytest
import skimage.data
from colour_segmenter import write_colour_segmenter

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


def test_what_lies_over_a_face_is_hidden(model: Path) -> None:
    crop = CROP.copy()
    crop[130:170, 80:140] = (0, 0, 255)
    crop[20:60, 20:60] = (0, 255, 0)
    face_only = Segmenter(settings_of(model, "face-skin")).hidden(crop)
    assert face_only[135:165, 85:135].all()
    assert face_only[25:55, 25:55].all()
    assert not face_only[62:120, 80:140].any()
    with_hands = Segmenter(settings_of(model, "face-skin", "body-skin")).hidden(crop)
    assert with_hands[135:165, 85:135].all()
    assert not with_hands[25:55, 25:55].any()


def test_the_margin_narrows_what_is_hidden_and_equal_pictures_give_equal_masks(model: Path) -> None:
    crop = CROP.copy()
    crop[130:170, 80:140] = (0, 0, 255)
    wide = Segmenter(settings_of(model, "face-skin", margin=5)).hidden(crop)
    narrow = Segmenter(settings_of(model, "face-skin")).hidden(crop)
    assert (wide <= narrow).all()
    assert 20 <= wide[:, 110].sum() <= narrow[:, 110].sum() - 8
    assert (wide == Segmenter(settings_of(model, "face-skin", margin=5)).hidden(crop)).all()


def test_a_model_without_names_takes_numbers(tmp_path: Path, model: Path) -> None:
    nameless = write_colour_segmenter(tmp_path / "nameless.tflite", named=False)
    crop = CROP.copy()
    crop[130:170, 80:140] = (0, 0, 255)
    by_number = Segmenter(settings_of(nameless, "3")).hidden(crop)
    assert (by_number == Segmenter(settings_of(model, "face-skin")).hidden(crop)).all()
    with pytest.raises(AssetError, match=r"visibility\.visible: .*no category 'face-skin'; it names none, .* 0, 1, 2"):
        Segmenter(settings_of(nameless, "face-skin"))


def test_the_persons_model_of_the_wheel_hides_the_background() -> None:
    hidden = Segmenter(settings_of(MODELS / "selfie_segmentation/selfie_segmentation.tflite", "selfie")).hidden(CROP)
    assert hidden[:30, :30].all()
    assert not hidden[60:150, 85:140].any()
    assert 0.1 < hidden.mean() < 0.7


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("nowhere.tflite", r"visibility\.model: .*nowhere\.tflite"),
        ("text.tflite", r"visibility\.model: .*text\.tflite is no segmentation model that MediaPipe can load"),
        ("empty.tflite", r"visibility\.model: .*empty\.tflite is no segmentation model"),
        ("cut.tflite", r"visibility\.model: .*cut\.tflite is no segmentation model"),
        ("face_landmark.tflite", r"visibility\.model: .*face_landmark\.tflite is no segmentation model: its only out"),
        ("face_detection.tflite", r"visibility\.model: .*face_detection\.tflite is no segmentation model"),
        ("selfie.tflite", r"visibility\.visible: .*no category 'face-skin'; its categories are selfie"),
    ],
)
def test_a_wrong_model_is_one_clear_error(tmp_path: Path, model: Path, name: str, words: str) -> None:
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


def test_sources_of_masks(tmp_path: Path) -> None:
    masks = VisibilitySettings(source="masks", masks=str(tmp_path / "masks"))
    with pytest.raises(ConfigError, match=r"visibility\.masks: there is no folder .*masks"):
        check_source(masks)
    (tmp_path / "masks").mkdir()
    check_source(masks)
    with pytest.raises(ClipError, match=r"holds no mask for S1/happy/level_1/001 .*without_mask") as caught:
        visibility_source(masks, "S1/happy/level_1/001", (64, 64), 10)
    assert caught.value.reason == "no_mask"
    assert visibility_source(replace(masks, without_mask="visible"), "S1/happy/level_1/001", (64, 64), 10) is None
    assert visibility_source(VisibilitySettings(), "S1/happy/level_1/001", (64, 64), 10) is None
    (tmp_path / "masks" / "a.png").write_bytes(b"")
    (tmp_path / "masks" / "a.mp4").write_bytes(b"")
    with pytest.raises(ClipError, match=r"there are .*a\.mp4 and .*a\.png; leave one") as caught:
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
def test_settings_that_cannot_work_name_their_key(wrong: dict[str, object]) -> None:
    key = {"masks": "masks", "segmentation": "model"}.get(str(wrong.get("source")), next(iter(wrong)))
    with pytest.raises(ValueError, match=rf"^{key}: got .*needs"):
        VisibilitySettings(**wrong)  # type: ignore[arg-type]
