"""Simulated occlusion of evaluation and prediction, and random masks for training."""

from __future__ import annotations

import numpy as np
import pytest
from few_points import of_68
from hypothesis import given, settings
from hypothesis import strategies as st

from occlufacediff.config.load import check_settings
from occlufacediff.config.occlusion import KINDS_WITH_IMAGES, OCCLUSION_KINDS, MaskSettings, OcclusionSettings
from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.face_mesh import IBUG_68
from occlufacediff.occlusion.kinds import KINDS as REGISTERED
from occlufacediff.occlusion.occlude import draw_span, occlude
from occlufacediff.occlusion.random_masks import training_mask
from occlufacediff.occlusion.regions import BROWS, LEFT_EYE, LIPS, RIGHT_EYE, missing_to_nan


def face(frames: int = 75, opening: float = 0.0, seed: int = 0) -> np.ndarray:
    """A crude face in crop coordinates, of which only lower lip and chin move."""
    rng = np.random.default_rng(seed)
    points = rng.uniform(-0.6, 0.6, (468, 2)).astype(np.float32)
    points[:, 1] = np.minimum(points[:, 1], 0.05)
    points[list(BROWS)] = np.stack([np.linspace(-0.35, 0.35, 20), np.full(20, -0.35)], 1)
    for eye, x in ((LEFT_EYE, -0.2), (RIGHT_EYE, 0.2)):
        angle = np.linspace(0, 2 * np.pi, 16, endpoint=False)
        points[list(eye)] = np.stack([x + 0.1 * np.cos(angle), -0.2 + 0.04 * np.sin(angle)], 1)
    angle = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    points[list(LIPS)] = np.stack([0.2 * np.cos(angle), 0.35 + 0.08 * np.sin(angle)], 1)
    points[152] = (0.0, 0.65)
    clip = np.repeat(points[None], frames, 0)
    wave = np.abs(np.sin(np.arange(frames) / 3)).astype(np.float32) * opening
    clip[:, [14, 17, 152], 1] += wave[:, None]
    return clip


#: Kinds that need no images.
KINDS = tuple(kind for kind in OCCLUSION_KINDS if kind not in KINDS_WITH_IMAGES)


def test_every_configurable_kind_is_registered() -> None:
    assert {"none", *REGISTERED} == set(OCCLUSION_KINDS)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("frames", [1, 30, 75, 200])
def test_pixel_and_landmark_masks_agree_for_every_kind(kind: str, frames: int) -> None:
    lmk = face(frames)
    occlusion = occlude(kind, lmk, np.random.default_rng(3), OcclusionSettings())
    visible = occlusion.lmk_mask(lmk)
    image = occlusion.image_mask()
    assert visible.shape == (frames, 468)
    assert image.shape == (frames, 224, 224)
    pixel = np.trunc(112 * lmk + 112).astype(int)
    looked_up = image[np.arange(frames)[:, None], pixel[..., 1], pixel[..., 0]]
    np.testing.assert_array_equal(visible == 0, looked_up)
    assert np.array_equal(occlusion.image_mask(slice(0, 1)), image[:1])
    assert (kind == "none") == bool(visible.all())


def test_the_region_of_a_kind_is_occluded() -> None:
    lmk = face(80, opening=0.1)
    mouth = occlude("mouth", lmk, np.random.default_rng(0), OcclusionSettings())
    visible = mouth.lmk_mask(lmk)
    assert not visible[mouth.frames][:, [*LIPS, 152]].any()
    assert visible[mouth.frames][:, [*LEFT_EYE, *RIGHT_EYE, *BROWS]].all()
    assert visible[~mouth.frames].all()
    upper = occlude("upper", lmk, np.random.default_rng(0), OcclusionSettings())
    assert not upper.lmk_mask(lmk)[upper.frames][:, [*LEFT_EYE, *RIGHT_EYE, *BROWS]].any()
    assert upper.lmk_mask(lmk)[:, list(LIPS)].all()
    assert not occlude("audio_driven", lmk, np.random.default_rng(0), OcclusionSettings()).lmk_mask(lmk).any()


def test_the_mouth_box_does_not_depend_on_the_mouth_opening() -> None:
    lmk = face(80, opening=0.2)
    boxes = occlude("mouth", lmk, np.random.default_rng(0), OcclusionSettings()).boxes
    assert (boxes == boxes[0]).all()


def test_points_outside_the_crop_or_missing_are_occluded() -> None:
    lmk = face(50)
    lmk[3, 7] = (1.2, 0.0)
    lmk[4, 8] = np.nan
    lmk[5, 9] = (-1.005, 0.0)
    none = occlude("none", face(50), np.random.default_rng(0), OcclusionSettings())
    visible = none.lmk_mask(lmk)
    assert visible[3, 7] == 0
    assert visible[4, 8] == 0
    assert visible[5, 9] == 1  # as published: truncation toward zero puts it on pixel 0
    assert visible.sum() == visible.size - 2


@given(frames=st.integers(1, 400), seed=st.integers(0, 99), edge=st.integers(0, 20))
def test_spans_are_long_enough_and_leave_both_ends_visible(frames: int, seed: int, edge: int) -> None:
    sizes = OcclusionSettings(edge_frames=edge)
    start, end = draw_span(frames, np.random.default_rng(seed), sizes)
    if (start, end) != (0, frames):
        assert start >= edge
        assert frames - end >= edge
        assert end - start >= max(40, 0.6 * frames)
    else:
        # Without edges, a drawn span can be the whole clip.
        assert edge == 0 or frames - 2 * edge <= max(40, np.ceil(0.6 * frames))


def test_equal_generators_give_equal_occlusions() -> None:
    lmk = face(90)
    for kind in KINDS:
        a, b = (occlude(kind, lmk, np.random.default_rng([1, 2]), OcclusionSettings()) for _ in range(2))
        assert np.array_equal(a.lmk_mask(lmk), b.lmk_mask(lmk))


@pytest.mark.parametrize("bad", ["nose", ""])
def test_unknown_kinds_raise(bad: str) -> None:
    with pytest.raises(ValueError, match="needs one of none, mouth"):
        occlude(bad, face(50), np.random.default_rng(0), OcclusionSettings())
    with pytest.raises(ValueError, match="lmk_2d"):
        occlude("mouth", face(50)[:, :68], np.random.default_rng(0), OcclusionSettings())


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_training_masks_are_binary_and_reproducible(seed: int) -> None:
    lmk = face(64)
    mask = training_mask(lmk, np.random.default_rng(seed), MaskSettings())
    assert mask.shape == (64, 468)
    assert set(np.unique(mask)) <= {0.0, 1.0}
    assert np.array_equal(mask, training_mask(lmk, np.random.default_rng(seed), MaskSettings()))


EYES = (*LEFT_EYE, *RIGHT_EYE)


@pytest.mark.parametrize(
    ("region", "hides", "leaves"),
    [
        # A box at each eye; its size is random.
        ("eyes", (), (13, 14, 152)),
        ("mouth", (13, 14), EYES),
        ("contour", (152,), (13, 14)),
        ("random", (), ()),
    ],
)
def test_training_masks_with_a_68_point_detector(region: str, hides: tuple[int, ...], leaves: tuple[int, ...]) -> None:
    none = dict.fromkeys(("whole", "half_frames", "nothing", "all", "eyes", "left", "right", "mouth", "random"), 0.0)
    sizes = {"half_min": 0.05, "half_max": 0.15, "contour_max": 1.05, "mouth_with_chin": 1.0}
    odds = MaskSettings(**(none | sizes | {"contour": 0.0, "span_is_window": 1.0, region: 1.0}))
    lmk = face(64)
    few = of_68(lmk)
    for seed in range(20):
        mask = training_mask(few, np.random.default_rng(seed), odds)
        # Regions are computed from the points that exist, so they contain some of them.
        assert (mask[:, IBUG_68] == 0).any()
        assert not mask[:, sorted({*hides} & {*IBUG_68})].any()
        assert mask[:, sorted({*leaves} & {*IBUG_68})].all()
        if region == "eyes":
            assert (mask[:, sorted({*EYES} & {*IBUG_68})] == 0).any()


def test_training_masks_follow_their_odds() -> None:
    lmk = face(64)
    odds = MaskSettings(
        whole=0.3, half_frames=0.2, nothing=0.0, all=0.2, eyes=0.0, mouth=0.5, random=0.0, contour=0.3,
        span_is_window=0.0, mouth_with_chin=0.0,
    )  # fmt: skip
    masks = [training_mask(lmk, np.random.default_rng([7, i]), odds) for i in range(1500)]
    whole = np.mean([not m.any() for m in masks])
    half = np.mean([np.array_equal(m.any(1), m.all(1)) and m.any(1).sum() == 32 for m in masks])
    # Adds to both: a span over the whole window, and a span of 32 frames that looks like half of the frames.
    assert 0.27 < whole < 0.34
    assert 0.17 < half < 0.24
    nothing = MaskSettings(whole=0, half_frames=0, nothing=1)
    assert training_mask(lmk, np.random.default_rng(0), nothing).all()


@pytest.mark.parametrize(
    ("values", "field"),
    [({"whole": 1.5}, "whole"), ({"whole": 0.9, "half_frames": 0.9}, "whole"), ({"half_min": -1.0}, "half_min")],
)
def test_odds_out_of_range_raise(values: dict[str, float], field: str) -> None:
    with pytest.raises((ValueError, ConfigError), match=f"^{field}: got"):
        check_settings(MaskSettings(**values))


#: Points of the 68 that a kind occludes and that it leaves visible; 152 is the chin.
OF_68 = {
    "mouth": ((*LIPS, 152), (*EYES, *BROWS)),
    # The lowest eye landmark lies on the edge.
    "bottom": ((*LIPS, 152), BROWS),
    "upper": ((*EYES, *BROWS), (*LIPS, 152)),
    "left_eye": (LEFT_EYE, (*RIGHT_EYE, *LIPS, 152)),
    "right_eye": (RIGHT_EYE, (*LEFT_EYE, *LIPS, 152)),
    "contour": ((152,), (*EYES, *LIPS)),
    "audio_driven": (IBUG_68, ()),
}


@pytest.mark.parametrize("kind", OF_68)
@pytest.mark.parametrize("hole", [np.nan, np.inf])
def test_kinds_with_a_68_point_detector(kind: str, hole: float) -> None:
    lmk = of_68(face(80, opening=0.1))
    lmk[np.isnan(lmk)] = hole
    occlusion = occlude(kind, lmk, np.random.default_rng(0), OcclusionSettings(scale_min=1.01))
    visible = occlusion.lmk_mask(lmk)[occlusion.frames]
    hidden, left = (sorted({*points} & {*IBUG_68}) for points in OF_68[kind])
    assert not visible[:, hidden].any()
    assert visible[:, left].all()
    assert not np.delete(visible, IBUG_68, axis=1).any()


@pytest.mark.parametrize("kind", KINDS)
def test_boxes_are_finite_when_points_are_missing(kind: str) -> None:
    lmk = of_68(face(80))
    for seed in range(10):
        boxes = occlude(kind, lmk, np.random.default_rng(seed), OcclusionSettings()).boxes
        assert ((boxes >= -112 * 9) & (boxes <= 112 * 9)).all()


def test_a_published_mouth_box_contains_the_detected_lips() -> None:
    lmk = of_68(face(80, opening=0.1))
    published = OcclusionSettings(mouth_with_chin=False, scale_min=1.01)
    mouth = occlude("mouth", lmk, np.random.default_rng(0), published)
    visible = mouth.lmk_mask(lmk)[mouth.frames]
    assert not visible[:, sorted({*LIPS} & {*IBUG_68})].any()
    assert visible[:, sorted({*EYES} & {*IBUG_68})].all()


@pytest.mark.parametrize(
    ("kind", "unknown", "named"),
    [
        ("mouth", LIPS, "lips in 1 of 50 frames, first in 7"),
        ("mouth", (13, 14), "inner lips' middle in 1 of 50"),
        ("mouth", (33,), "eyes' outer corners in 1 of 50"),
        ("upper", (263,), "eyes' outer corners in 1 of 50"),
        ("left_eye", LEFT_EYE, "left eye in 1 of 50"),
        ("contour", range(468), "lips and eyes in 1 of 50"),
        ("random", range(468), "a box at a random place needs one"),
    ],
)
def test_a_region_without_points_is_an_error(kind: str, unknown: tuple[int, ...], named: str) -> None:
    lmk = face(50)
    lmk[7, list(unknown)] = np.nan
    with pytest.raises(ClipError, match=named) as caught:
        occlude(kind, lmk, np.random.default_rng(0), OcclusionSettings())
    assert caught.value.reason == "no_region"


def test_points_that_are_never_detected_become_nan() -> None:
    lmk = face(50)
    detected = np.ones((50, 468), bool)
    detected[:, 5] = False
    detected[:40, 6] = False
    replaced = missing_to_nan(lmk, detected)
    assert np.isnan(replaced[:, 5]).all()
    np.testing.assert_array_equal(np.delete(replaced, 5, axis=1), np.delete(lmk, 5, axis=1))
