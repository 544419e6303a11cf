"""Refinement follows visible landmarks and keeps the predicted motion elsewhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from moving_head import moving
from numpy.typing import NDArray

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import fit_clip, well_seen
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.refinement import refine_motion
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy

SETTINGS = ReconstructionSettings()
FRAMES = 30


@pytest.fixture(scope="module")
def basis(small_head: HeadAsset) -> LandmarkBasis:
    return LandmarkBasis.of(small_head)


@pytest.fixture(scope="module")
def clip(small_head: HeadAsset) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """Identity, motion (T, E + 3) and landmarks (T, 468, 2) of a known clip."""
    rng = np.random.default_rng(3)
    time = np.arange(FRAMES)[:, None] / 25
    exp = 0.4 + 0.4 * np.sin(time * rng.uniform(2, 8, small_head.n_exp))
    jaw = np.column_stack([0.15 + 0.1 * np.sin(9 * time), np.zeros((FRAMES, 2))])
    shape = rng.normal(size=small_head.n_shape)
    pose, cam = np.zeros((FRAMES, 3)), np.tile([7.5, 0.0, 0.0], (FRAMES, 1))
    points = landmarks_numpy(small_head, vertices_numpy(small_head, shape, exp, pose, jaw))
    lmk = project_numpy(points.astype(np.float64), cam)
    return shape.astype(np.float32), np.column_stack([exp, jaw]).astype(np.float32), lmk.astype(np.float32)


def test_visible_landmarks_determine_the_motion(basis, clip):
    shape, truth, lmk = clip
    wrong = np.zeros_like(truth)
    found = refine_motion(basis, wrong, lmk, np.ones((FRAMES, 468)), shape, settings=SETTINGS)
    assert np.abs(found - truth).mean() < 0.25 * np.abs(wrong - truth).mean()


def test_the_earlier_fit_is_a_start_that_saves_a_step(basis, clip):
    _, truth, lmk = clip
    boxes = np.tile([10.0, 20.0, 200.0], (FRAMES, 1)) + np.arange(FRAMES)[:, None] * [1.0, -0.5, 0.3]
    visible = np.ones((FRAMES, 468))
    visible[8:22, LIPS] = 0
    fit = fit_clip(basis, lmk, settings=SETTINGS, boxes=boxes, visible=visible)
    arguments = basis, 0.5 * truth, lmk, visible, fit.shape
    long = replace(SETTINGS, motion_iterations=12)
    converged = refine_motion(*arguments, settings=long, boxes=boxes)
    without, with_start = (
        refine_motion(*arguments, settings=SETTINGS, boxes=boxes, start=start) for start in (None, fit)
    )
    error, usual = (np.sqrt(((found - converged) ** 2).mean()) for found in (with_start, without))
    assert error < max(2 * usual, 1e-4)
    np.testing.assert_allclose(refine_motion(*arguments, settings=long, boxes=boxes, start=fit), converged, atol=1e-4)


def test_occluded_frames_return_to_the_prediction_without_a_jump(basis, clip):
    shape, truth, lmk = clip
    visible = np.ones((FRAMES, 468))
    visible[8:22] = 0
    expected = 0.5 * truth
    found = refine_motion(basis, expected, lmk, visible, shape, settings=SETTINGS)
    np.testing.assert_allclose(found[13:17], expected[13:17], atol=0.03)
    jump, inside = np.abs(np.diff(found, axis=0)[[7, 21]]).max(), np.abs(np.diff(truth, axis=0)).max()
    assert jump < 2 * inside
    assert np.abs(found - truth)[:8].mean() < 0.5 * np.abs(expected - truth)[:8].mean()


@pytest.mark.parametrize("gap", [(0, 100), (70, 160), (130, 230), (5, 225)])
def test_a_piece_without_a_face_keeps_the_expected_motion(small_head, basis, gap):
    """The gap contains whole pieces of 64 frames; its inner frames keep the predicted motion."""
    truth = moving(small_head, 230)
    motion = np.concatenate([truth.exp, truth.jaw], axis=1).astype(np.float32)
    visible = np.ones((230, 468))
    visible[slice(*gap)] = 0
    found = refine_motion(
        basis,
        0.5 * motion,
        truth.landmarks.astype(np.float32),
        visible,
        truth.shape.astype(np.float32),
        settings=replace(SETTINGS, piece_frames=64),
    )
    inside = slice(gap[0] + 12 * (gap[0] > 0), gap[1] - 12 * (gap[1] < 230))
    np.testing.assert_allclose(found[inside], 0.5 * motion[inside], atol=0.03)
    outside = np.ones(230, bool)
    outside[slice(*gap)] = False
    assert np.abs(found - motion)[outside].mean() < 0.5 * np.abs(0.5 * motion)[outside].mean()
    assert np.abs(np.diff(found, axis=0)).max() < 3 * np.abs(np.diff(motion, axis=0)).max()


def test_without_visible_landmarks_the_motion_is_unchanged(basis, clip):
    shape, truth, lmk = clip
    found = refine_motion(basis, truth, lmk, np.zeros((FRAMES, 468)), shape, settings=SETTINGS)
    assert found is truth


def test_a_correct_prediction_is_unchanged(basis, clip):
    shape, truth, lmk = clip
    some = np.ones((FRAMES, 468))
    some[:, ::2] = 0
    found = refine_motion(basis, truth, lmk, some, shape, settings=SETTINGS)
    np.testing.assert_allclose(found, truth, atol=0.02)


def test_adapted_motion_keeps_an_occluded_mouth(small_head, clip):
    """Visible cheeks do not move an occluded mouth; without ``adapted`` they do."""
    shape, truth, lmk = clip
    names = tuple(f"mouth{number}" if number % 2 else f"brow{number}" for number in range(small_head.n_exp))
    basis = LandmarkBasis.of(replace(small_head, expression_names=names))
    visible = np.ones((FRAMES, 468))
    visible[np.ix_(range(10, 20), LIPS)] = 0
    expected = 0.5 * truth
    free = refine_motion(basis, expected, lmk, visible, shape, settings=SETTINGS)
    adapted = refine_motion(basis, expected, lmk, visible, shape, settings=SETTINGS, adapted=True)
    mouth = np.array([name.startswith("mouth") for name in names] + [True] * 3)
    hidden = np.zeros(adapted.shape, bool)
    hidden[10:20] = mouth
    np.testing.assert_array_equal(adapted[hidden], expected[hidden])
    np.testing.assert_array_equal(adapted[~hidden], free[~hidden])
    assert np.abs(free - expected)[hidden].max() > 0.02


def test_a_prior_of_a_wrong_size_is_rejected(basis, clip):
    _, truth, lmk = clip
    with pytest.raises(ValueError, match="expected"):
        fit_clip(basis, lmk, settings=SETTINGS, expected=(truth[:, :-4], truth[:, -3:]))


def test_landmarks_that_the_head_lacks_do_not_count(small_head: HeadAsset) -> None:
    """A head model may have a fifth of the face mesh points; only these count as visible."""
    head, chosen = small_head, np.arange(0, 468, 5)
    fewer = replace(
        head,
        lmk_face_idx=head.lmk_face_idx[chosen],
        lmk_b_coords=head.lmk_b_coords[chosen],
        landmark_indices=head.landmark_indices[chosen],
    )
    basis, motion = LandmarkBasis.of(fewer), np.full((6, small_head.n_exp + 3), 0.1, np.float32)
    visible = np.zeros((6, 468), np.float32)
    visible[:, 1::5] = 1
    visible[:, chosen[:5]] = 1
    assert not well_seen(basis, visible).any() and well_seen(LandmarkBasis.of(head), visible).all()
    landmarks = np.zeros((6, 468, 2), np.float32)
    kept = refine_motion(basis, motion, landmarks, visible, np.zeros(basis.n_shape, np.float32), settings=SETTINGS)
    np.testing.assert_array_equal(kept, motion)
