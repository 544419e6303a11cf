"""Crop, interpolation, visibility and index tables: parity numbers and general properties."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import skimage.data
from hypothesis import given
from hypothesis import strategies as st

from occlufacediff.errors import ClipError
from occlufacediff.landmarks import topology
from occlufacediff.landmarks.crop import crop_image
from occlufacediff.landmarks.interpolate import fill_missing
from occlufacediff.landmarks.normalise import crop_boxes, crop_matrix, from_crop, to_crop
from occlufacediff.landmarks.visibility import to_pixels, visible_landmarks


@pytest.mark.parametrize("case", ["inside", "border", "small", "large"])
def test_crop_matches_parity_numbers(goldens: Path, case: str) -> None:
    with np.load(goldens / "crop.npz") as numbers:
        landmarks = numbers[f"{case}_landmarks"]
        box = crop_boxes(landmarks)
        assert box[2] == numbers[f"{case}_size_px"]
        np.testing.assert_allclose(crop_matrix(box), numbers[f"{case}_tform"], atol=1e-9)
        np.testing.assert_allclose(to_crop(landmarks, box), numbers[f"{case}_lmk_norm"], atol=1e-9)
        np.testing.assert_allclose(from_crop(to_crop(landmarks, box), box), landmarks, atol=1e-9)
        crop = crop_image(skimage.data.astronaut(), box)
        difference = np.abs(crop.astype(int) - numbers[f"{case}_crop_rgb_uint8"])
    assert difference.mean() < 0.9
    assert np.percentile(difference, 99) <= 4


def test_boxes_of_a_clip_equal_those_of_its_frames(goldens: Path) -> None:
    with np.load(goldens / "crop.npz") as numbers:
        clip = np.stack([numbers[f"{case}_landmarks"] for case in ("inside", "border", "small", "large")])
    np.testing.assert_array_equal(crop_boxes(clip), np.stack([crop_boxes(frame) for frame in clip]))
    np.testing.assert_array_equal(to_crop(clip, crop_boxes(clip))[2], to_crop(clip[2], crop_boxes(clip[2])))


def test_a_read_only_frame_can_be_cropped() -> None:
    frame = np.full((50, 40, 3), 200, np.uint8)
    frame.flags.writeable = False
    crop = crop_image(frame, np.array([-20.0, -20.0, 80.0]))
    assert crop.shape == (224, 224, 3)
    assert crop[0, 0].tolist() == [0, 0, 0]
    assert crop[112, 100].tolist() == [200, 200, 200]


def test_interpolation_matches_parity_numbers(goldens: Path) -> None:
    with np.load(goldens / "interp.npz") as numbers:
        before = numbers["landmarks_in"].copy()
        filled, valid = fill_missing(before, numbers["valid"])
        np.testing.assert_allclose(filled, numbers["landmarks_out"], atol=1e-6)
        np.testing.assert_array_equal(before, numbers["landmarks_in"])
        by_nan = numbers["landmarks_in"].copy()
        by_nan[np.setdiff1d(np.arange(12), numbers["valid"])] = np.nan
        again, found = fill_missing(by_nan)
        np.testing.assert_array_equal(again, filled)
        np.testing.assert_array_equal(found, valid)


def test_interpolation_without_any_face_raises() -> None:
    with pytest.raises(ClipError, match="no face") as refused:
        fill_missing(np.full((5, 478, 2), np.nan))
    assert refused.value.reason == "no_face"


def test_interpolation_of_points_that_the_detector_does_not_provide() -> None:
    points = np.full((5, 4, 2), np.nan)
    points[1:4, 0] = 1.0
    points[1, 1], points[3, 1] = 2.0, 4.0
    filled, valid = fill_missing(points)
    assert valid.tolist() == [1, 2, 3]
    assert filled[:, 0, 0].tolist() == [1] * 5
    assert filled[:, 1, 0].tolist() == [2, 2, 3, 4, 4]
    assert np.isnan(filled[:, 2:]).all()


@given(st.sets(st.integers(0, 19), min_size=1), st.integers(0, 2**32 - 1))
def test_interpolation_keeps_detections_and_restores_linear_motion(found: set[int], seed: int) -> None:
    rng = np.random.default_rng(seed)
    start, step = rng.normal(size=(2, 6, 2))
    line = start + np.arange(20)[:, None, None] * step
    valid = np.array(sorted(found))
    filled, _ = fill_missing(np.where(np.isin(np.arange(20), valid)[:, None, None], line, np.nan))
    expected = start + np.clip(np.arange(20), valid[0], valid[-1])[:, None, None] * step
    np.testing.assert_allclose(filled, expected, atol=1e-4)


def test_visibility_matches_parity_numbers(goldens: Path) -> None:
    with np.load(goldens / "lmk_mask.npz") as numbers:
        image = np.unpackbits(numbers["img_mask"], axis=-1)[..., :224]
        landmarks = numbers["lmk_2d"]
        np.testing.assert_array_equal(to_pixels(landmarks), numbers["kpts"])
        np.testing.assert_array_equal(visible_landmarks(landmarks, image), numbers["lmk_mask"])


def test_visibility_of_missing_points_with_one_image_for_all_frames() -> None:
    landmarks = np.array([[[0.0, 0.0], [np.nan, 0.0], [1e30, 0.0], [-0.99, -0.99]]] * 3)
    image = np.ones((224, 224), bool)
    image[:10, :10] = False
    assert visible_landmarks(landmarks, image).tolist() == [[1, 0, 0, 0]] * 3


def test_mesh_edges_connect_all_points() -> None:
    edges = topology.mesh_edges()
    assert edges.shape == (1322, 2)
    assert set(edges.ravel().tolist()) == set(range(topology.MESH_POINTS))
    assert len(topology.LIP_PAIRS_UPPER) == len(topology.LIP_PAIRS_LOWER) == 20
    assert set(topology.LIP_PAIRS_UPPER) | set(topology.LIP_PAIRS_LOWER) <= set(topology.LIPS)
