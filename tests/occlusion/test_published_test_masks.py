"""Occlusions of the published evaluation: spans, static boxes and pictures."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from occlufacediff.config.occlusion import OCCLUSION_KINDS, OcclusionSettings
from occlufacediff.errors import ClipError
from occlufacediff.face_mesh import EYES_AND_BROWS, LEFT_BROW, LEFT_EYE, LIPS, RIGHT_BROW, RIGHT_EYE
from occlufacediff.landmarks.visibility import visible_landmarks
from occlufacediff.occlusion.published_test import box_span, picture_span, published_name, published_occlusion

WITHOUT_IMAGES = tuple(kind for kind in OCCLUSION_KINDS if kind not in ("picture", "natural"))
SETTINGS = OcclusionSettings()


def moving_face(frames: int = 90) -> np.ndarray:
    """Landmarks in crop coordinates that move by up to a fifth of the crop; eyes and lips are at known places."""
    rng = np.random.default_rng(0)
    points = rng.uniform(-0.7, 0.7, (468, 2)).astype(np.float32)
    for indices, (x, y) in (
        ((*LEFT_EYE, *LEFT_BROW), (0.3, -0.3)),
        ((*RIGHT_EYE, *RIGHT_BROW), (-0.3, -0.3)),
        (LIPS, (0.0, 0.4)),
    ):
        points[list(indices)] = np.array([x, y]) + rng.uniform(-0.1, 0.1, (len(indices), 2))
    drift = 0.2 * np.sin(np.arange(frames) / 9)
    return (points[None] + np.stack([drift, 0.5 * drift], axis=1)[:, None]).astype(np.float32)


def drawn(kind: str, lmk: np.ndarray, seed: int = 0, settings: OcclusionSettings = SETTINGS):
    return published_occlusion(kind, lmk, np.random.default_rng([seed]), settings)


def in_pixels(lmk: np.ndarray, indices: tuple[int, ...]) -> np.ndarray:
    return 112 * lmk[:, list(indices)].astype(np.float64) + 112


def test_spans_of_boxes_are_the_published_ones() -> None:
    for frames in (1, 25, 40):
        assert box_span(frames, np.random.default_rng(0)) == (0, frames)
    starts, lengths = Counter(), Counter()
    for seed in range(4000):
        start, end = box_span(44, np.random.default_rng(seed))
        starts[start] += 1
        lengths[start, end - start] += 1
    # n = 44: starts 0 .. n - 41 = 3, lengths 40 .. 44 - start, all of equal odds.
    assert set(starts) == {0, 1, 2, 3}
    assert set(lengths) == {(start, length) for start in range(4) for length in range(40, 45 - start)}
    assert all(abs(count - 1000) < 120 for count in starts.values())
    assert all(abs(lengths[0, length] - 200) < 70 for length in range(40, 45))


def test_spans_of_pictures_are_the_published_ones() -> None:
    rng = np.random.default_rng(0)
    # Up to 45 frames: from frame 5, at most 30 frames.
    assert [picture_span(n, rng) for n in (3, 25, 35, 36, 45)] == [(3, 3), (5, 25), (5, 35), (5, 35), (5, 35)]
    spans = {picture_span(48, np.random.default_rng(seed)) for seed in range(500)}
    assert spans == {(start, start + length) for start in range(3) for length in range(45, 49 - start)}


@pytest.mark.parametrize("kind", WITHOUT_IMAGES)
@pytest.mark.parametrize("frames", [1, 25, 41, 150])
def test_regions_do_not_move_and_landmarks_agree_with_the_image(kind: str, frames: int) -> None:
    lmk = moving_face(frames)
    lmk[0, 5] = np.nan
    occlusion = drawn(kind, lmk, seed=3)
    assert (occlusion.boxes == occlusion.boxes[0]).all()
    hidden = occlusion.image_mask()
    assert (hidden[occlusion.frames] == hidden[occlusion.frames][:1]).all()
    assert not hidden[~occlusion.frames].any()
    np.testing.assert_array_equal(occlusion.lmk_mask(lmk), visible_landmarks(lmk, ~hidden))


def test_which_frames_are_occluded() -> None:
    lmk = moving_face(100)
    assert not drawn("none", lmk).frames.any()
    # Both ignore the span.
    assert drawn("audio_driven", lmk).frames.all()
    np.testing.assert_array_equal(np.flatnonzero(drawn("every_third", lmk).frames), np.arange(0, 100, 3))
    for kind in ("missing", "mouth", "upper", "random", "asym"):
        frames = np.flatnonzero(drawn(kind, lmk).frames)
        assert 40 <= len(frames) < 100
        np.testing.assert_array_equal(frames, np.arange(frames[0], frames[-1] + 1))
    missing = drawn("missing", lmk)
    assert not missing.lmk_mask(lmk)[missing.frames].any()
    assert drawn("mouth", moving_face(40)).frames.all()


def test_boxes_enclose_the_extremes_of_all_frames() -> None:
    lmk = moving_face()
    for kind, indices in (
        ("mouth", LIPS),
        ("left_eye", (*LEFT_EYE, *LEFT_BROW)),
        ("right_eye", (*RIGHT_EYE, *RIGHT_BROW)),
    ):
        pixels = in_pixels(lmk, indices).reshape(-1, 2)
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        exact = drawn(kind, lmk, settings=OcclusionSettings(scale_min=1.0, scale_max=1.0))
        np.testing.assert_array_equal(exact.boxes[0], np.trunc([*low, *high]))
        ratios = []
        for seed in range(200):
            box = drawn(kind, lmk, seed).boxes[0]
            ratios.append((box[2:] - box[:2]) / (high - low))
        # Both axes have a factor of their own, from 0.9 to 1.5 (to a pixel).
        ratios = np.array(ratios)
        assert ratios.min() > 0.86
        assert ratios.max() < 1.54
        assert abs(np.corrcoef(ratios.T)[0, 1]) < 0.3
        assert np.ptp(ratios, axis=0).min() > 0.5


def test_upper_hides_the_rows_above_the_lowest_point_of_eyes_and_brows() -> None:
    lmk = moving_face()
    lowest = int(in_pixels(lmk, EYES_AND_BROWS)[..., 1].max())
    np.testing.assert_array_equal(drawn("upper", lmk).boxes[0], (0, 0, 223, lowest - 1))
    np.testing.assert_array_equal(drawn("bottom", lmk).boxes[0], (0, lowest, 223, 223))


def test_halves_and_random_boxes() -> None:
    lmk = moving_face()
    sides = Counter(tuple(drawn("asym", lmk, seed).boxes[0]) for seed in range(400))
    assert set(sides) == {(0, 0, 111, 223), (112, 0, 223, 223)}
    assert all(160 < count < 240 for count in sides.values())
    boxes = np.array([drawn("random", lmk, seed).boxes[0] for seed in range(2000)])
    corners, ends = boxes[:, :2], boxes[:, 2:]
    assert corners.min() == 20
    assert corners.max() == 169
    assert ends.max() == 223
    sizes = (ends - corners + 1)[ends < 223]
    assert sizes.min() >= 100
    # The largest side that does not reach the edge from corner 20.
    assert sizes.max() <= 203


def test_draws_depend_on_the_generator_only() -> None:
    lmk = moving_face()
    for kind in WITHOUT_IMAGES:
        one, other = drawn(kind, lmk, 5), drawn(kind, lmk, 5)
        np.testing.assert_array_equal(one.boxes, other.boxes)
        np.testing.assert_array_equal(one.frames, other.frames)


def test_pictures_hide_where_alpha_is_above_5(tmp_path: Path) -> None:
    pixels = np.zeros((256, 256, 4), np.uint8)
    pixels[:, :128, 3] = 5
    pixels[:, 128:, 3] = 6
    Image.fromarray(pixels).save(tmp_path / "faint.png")
    lmk = moving_face(100)
    occlusion = drawn("picture", lmk, settings=OcclusionSettings(pictures=str(tmp_path)))
    frame = int(np.flatnonzero(occlusion.frames)[0])
    hidden = occlusion.image_mask(slice(frame, frame + 1))[0]
    assert not hidden[:, :111].any()
    assert hidden[:, 113:].all()
    assert 45 <= occlusion.frames.sum() < 100
    np.testing.assert_array_equal(occlusion.lmk_mask(lmk), visible_landmarks(lmk, ~occlusion.image_mask()))


def test_a_region_without_points_is_an_error() -> None:
    lmk = moving_face()
    lmk[:, list(LIPS)] = np.nan
    with pytest.raises(ClipError, match="no landmark of the lips") as caught:
        drawn("mouth", lmk)
    assert caught.value.reason == "no_region"
    with pytest.raises(ValueError, match="needs one of none, mouth"):
        drawn("nose", lmk)
    with pytest.raises(ValueError, match="pictures: got null"):
        drawn("picture", lmk)


def test_published_names() -> None:
    assert [published_name(kind) for kind in ("none", "audio_driven", "missing", "every_third", "mouth")] == [
        *("non_occ", "all", "missing_frames", "downsample_frames", "mouth"),
    ]
