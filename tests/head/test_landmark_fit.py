"""The landmark fit recovers known motion: with noise, occlusion, jumping boxes and wrong input."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from moving_head import moving

from occlufacediff.config.load import check_settings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.errors import ConfigError
from occlufacediff.face_mesh import IBUG_68, LIPS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import fit_clip
from occlufacediff.head.fit_errors import PX
from occlufacediff.head.fit_solver import Priors, Problem, left_jacobians
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, rotation_matrices, vertices_numpy

SETTINGS = ReconstructionSettings()


@pytest.fixture(scope="module")
def basis(small_head: HeadAsset) -> LandmarkBasis:
    return LandmarkBasis.of(small_head)


def test_basis_is_the_model_at_its_landmarks(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    truth = moving(small_head, 5)
    still = np.zeros((5, 3))
    expected = landmarks_numpy(small_head, vertices_numpy(small_head, truth.shape, truth.exp, still, truth.jaw))
    np.testing.assert_allclose(basis.local(truth.shape, truth.exp, truth.jaw), expected, atol=1e-6)


def test_basis_with_pose_correctives(small_head: HeadAsset) -> None:
    correctives = 0.002 * np.random.default_rng(0).normal(size=(small_head.n_vertices, 3, 9))
    head = replace(small_head, posedirs=correctives)
    truth = moving(head, 5)
    still = np.zeros((5, 3))
    expected = landmarks_numpy(head, vertices_numpy(head, truth.shape, truth.exp, still, truth.jaw))
    np.testing.assert_allclose(LandmarkBasis.of(head).local(truth.shape, truth.exp, truth.jaw), expected, atol=1e-6)


@pytest.mark.parametrize("correctives", [False, True])
def test_jacobian_is_the_derivative(small_head: HeadAsset, correctives: bool) -> None:
    rng = np.random.default_rng(0)
    extra = 0.002 * rng.normal(size=(small_head.n_vertices, 3, 9)) if correctives else None
    basis = LandmarkBasis.of(replace(small_head, posedirs=extra))
    size = basis.n_exp + 9
    none = np.zeros(size)
    priors = Priors(1.0, none, none, none, none - np.inf, none + np.inf, 1.0)
    problem = Problem(basis, np.zeros((2, 468, 2)), np.ones((2, 468)), priors, np.zeros((2, size)))
    shape, state = rng.normal(size=basis.n_shape), 0.4 * rng.normal(size=(2, size))
    _, own, rows = problem.derivatives(shape, state)
    shapes = np.concatenate([basis.points.shape, basis.levers.shape], axis=1)
    jacobian = np.concatenate([own.swapaxes(2, 3), np.einsum("tck,lks->tcls", rows, shapes)], axis=3)
    jacobian = jacobian.reshape(2, -1, size + basis.n_shape)
    step = 1e-5
    for column in range(size + basis.n_shape):
        moved = []
        for sign in (1, -1):
            s, x = shape.copy(), state.copy()
            if column < size:
                x[:, column] += sign * step
            else:
                s[column - size] += sign * step
            moved.append(problem.project(s, x))
        numeric = ((moved[0] - moved[1]) / (2 * step)).transpose(0, 2, 1).reshape(2, -1)
        np.testing.assert_allclose(jacobian[..., column], numeric, atol=2e-5)


@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3), st.lists(st.floats(-1, 1), min_size=3, max_size=3))
def test_left_jacobian(vector: list[float], change: list[float]) -> None:
    at, by = np.array([vector]), 1e-5 * np.array([change])
    moved = rotation_matrices((left_jacobians(at) @ by[..., None])[..., 0]) @ rotation_matrices(at)
    np.testing.assert_allclose(moved, rotation_matrices(at + by), atol=1e-8)


def test_finds_known_motion_in_noise(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    truth = moving(small_head, 60)
    noise = 0.4 / PX * np.random.default_rng(1).normal(size=truth.landmarks.shape)
    fit = fit_clip(basis, truth.landmarks + noise, settings=SETTINGS)
    assert fit.error_px < 0.65  # the noise alone is 0.5
    assert fit.lips_px < 0.75
    assert fit.opening_correlation > 0.98
    assert np.corrcoef(fit.jaw[:, 0], truth.jaw[:, 0])[0, 1] > 0.98
    assert np.abs(fit.exp - truth.exp).mean() < 0.05
    assert np.degrees(np.abs(fit.global_pose - truth.global_pose)).mean() < 2
    points = landmarks_numpy(small_head, vertices_numpy(small_head, fit.shape, fit.exp, fit.global_pose, fit.jaw))
    np.testing.assert_allclose(project_numpy(points, fit.cam), fit.landmarks, atol=1e-4)


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1000))
def test_follows_any_motion(small_head: HeadAsset, basis: LandmarkBasis, seed: int) -> None:
    fit = fit_clip(basis, moving(small_head, 20, seed=seed).landmarks, settings=SETTINGS)
    assert fit.error_px < 0.6
    assert fit.exp.min() >= SETTINGS.exp_min - 1e-6
    assert fit.exp.max() <= SETTINGS.exp_max + 1e-6


def test_jumping_boxes_change_the_camera_only(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    truth = moving(small_head, 40)
    source = (truth.landmarks + 1) * PX * 300 / 223 + np.array([200, 100])
    rng = np.random.default_rng(0)
    boxes = np.column_stack(
        [200 + rng.integers(-6, 7, 40), 100 + rng.integers(-6, 7, 40), 300 + rng.integers(-9, 9, 40)]
    )
    crops = (source - boxes[:, None, :2]) * 223 / boxes[:, None, 2:] / PX - 1
    steady_boxes = np.tile([200.0, 100.0, 300.0], (40, 1))
    fit = fit_clip(basis, crops, settings=SETTINGS, boxes=boxes)
    steady = fit_clip(basis, truth.landmarks, settings=SETTINGS, boxes=steady_boxes)
    assert fit.error_px < 0.5
    np.testing.assert_allclose(fit.exp, steady.exp, atol=0.02)
    np.testing.assert_allclose(fit.global_pose, steady.global_pose, atol=0.02)
    points = landmarks_numpy(small_head, vertices_numpy(small_head, fit.shape, fit.exp, fit.global_pose, fit.jaw))
    assert np.linalg.norm(project_numpy(points, fit.cam) - crops, axis=-1).mean() * PX < 0.5


def test_occluded_frames_are_filled(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    truth = moving(small_head, 60)
    gaps = truth.landmarks.copy()
    gaps[:3] = np.nan
    gaps[25:29] = np.nan
    gaps[57:] = np.nan
    fit = fit_clip(basis, gaps, settings=SETTINGS)
    assert np.isfinite(fit.landmarks).all()
    assert np.isfinite(fit.exp).all()
    assert fit.error_px < 0.6
    hidden = np.linalg.norm(fit.landmarks[25:29] - truth.landmarks[25:29], axis=-1) * PX
    assert hidden.mean() < 5
    assert np.degrees(np.abs(fit.global_pose - truth.global_pose)).max() < 15


def test_an_occluded_mouth_does_not_affect_pose_and_camera(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    truth = moving(small_head, 40)
    visible = np.tile(truth.landmarks[0, :, 1] < 0.2, (40, 1))
    visible[:, LIPS] = False
    wrong = np.where(visible[..., None], truth.landmarks, 0.0)
    fit = fit_clip(basis, wrong, settings=SETTINGS, visible=visible)
    error = np.linalg.norm(fit.landmarks - truth.landmarks, axis=-1)[visible].mean() * PX
    assert error < 0.7
    assert np.degrees(np.abs(fit.global_pose - truth.global_pose)).mean() < 5
    assert np.isnan(fit.lips_px)
    assert np.isnan(fit.opening_correlation)


def test_parts_occluded_in_all_frames_stay_near_the_average_face(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    """If errors are equal in all frames, a visible part of the face determines the identity less than all of it."""
    bold = replace(SETTINGS, shape_sd_unseen=SETTINGS.shape_sd)
    missed = []
    for seed in range(6):
        truth = moving(small_head, 12, seed)
        amiss = truth.landmarks + np.random.default_rng(seed).normal(0, 1.5 / PX, truth.landmarks.shape[1:])
        visible = np.tile(truth.landmarks[0, :, 1] < -0.5, (12, 1))
        fits = [fit_clip(basis, amiss, settings=one, visible=visible) for one in (bold, SETTINGS)]
        missed.append([np.linalg.norm(fit.landmarks - truth.landmarks, axis=-1)[~visible].mean() for fit in fits])
    by_bold, by_cautious = np.mean(missed, axis=0)
    assert by_cautious < 0.8 * by_bold


@pytest.mark.parametrize(("of_68", "cautious"), [(6, False), (7, True)])
def test_the_stronger_identity_prior_applies_from_a_tenth_of_the_landmarks(
    small_head: HeadAsset, basis: LandmarkBasis, of_68: int, cautious: bool
) -> None:
    landmarks = moving(small_head, 20).landmarks
    # The others, which some detectors never give, count neither where all of them are seen nor where few are.
    others = np.setdiff1d(np.arange(468), IBUG_68)
    visible = np.ones((20, 468), bool)
    visible[:, list(IBUG_68[:of_68])] = False
    if not cautious:
        visible[:, others[:300]] = False
    bold = replace(SETTINGS, shape_sd_unseen=SETTINGS.shape_sd)
    found, other = (fit_clip(basis, landmarks, settings=one, visible=visible).shape for one in (SETTINGS, bold))
    assert (found == other).all() != cautious
    # However much is hidden in some frames, that others show it is enough.
    visible[:10, list(IBUG_68[:34])], visible[10:] = False, True
    once, same = (fit_clip(basis, landmarks, settings=one, visible=visible).shape for one in (SETTINGS, bold))
    np.testing.assert_array_equal(once, same)


def test_long_clips_are_solved_in_pieces_without_seams(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    truth = moving(small_head, 300)
    whole = fit_clip(basis, truth.landmarks, settings=replace(SETTINGS, piece_frames=1000))
    pieces = fit_clip(basis, truth.landmarks, settings=replace(SETTINGS, piece_frames=100))
    np.testing.assert_allclose(pieces.exp, whole.exp, atol=0.01)
    np.testing.assert_allclose(pieces.cam, whole.cam, rtol=0.01, atol=0.002)


@pytest.mark.parametrize(
    ("start", "stop"),
    [(100, 200), (0, 100), (200, 300), (0, 299), (1, 300), (40, 90), (6, 296)],
    ids=["middle", "beginning", "end", "all-but-the-last", "all-but-the-first", "over-one-seam", "all-but-ten"],
)
def test_a_piece_without_a_face_is_filled_like_shorter_gaps(
    small_head: HeadAsset, basis: LandmarkBasis, start: int, stop: int
) -> None:
    """A gap longer than a piece is filled as in a fit of the whole clip in one piece that has converged."""
    truth = moving(small_head, 300)
    landmarks = truth.landmarks.copy()
    landmarks[start:stop] = np.nan
    whole = fit_clip(basis, landmarks, settings=replace(SETTINGS, piece_frames=1000, motion_iterations=8))
    pieces = fit_clip(basis, landmarks, settings=replace(SETTINGS, piece_frames=64))
    assert np.isfinite(pieces.landmarks).all()
    for name in ("exp", "jaw", "global_pose", "cam"):
        np.testing.assert_allclose(getattr(pieces, name), getattr(whole, name), atol=0.005, err_msg=name)


@settings(max_examples=8, deadline=None)
@example(start=127, length=27, few=0, known_shape=True)
@example(start=128, length=50, few=0, known_shape=False)
@given(start=st.integers(0, 199), length=st.integers(1, 199), few=st.integers(0, 11), known_shape=st.booleans())
def test_a_gap_of_any_length_anywhere(
    small_head: HeadAsset, basis: LandmarkBasis, start: int, length: int, few: int, known_shape: bool
) -> None:
    """Frames of the gap show fewer than 12 landmarks; the head moves through them without a jump."""
    truth = moving(small_head, 200)
    visible = np.ones((200, 468), bool)
    visible[start : start + length, few:] = False
    shape = truth.shape if known_shape else None
    fit = fit_clip(basis, truth.landmarks, settings=replace(SETTINGS, piece_frames=64), visible=visible, shape=shape)
    assert np.isfinite(fit.landmarks).all()
    outside = np.linalg.norm(fit.landmarks - truth.landmarks, axis=-1)[visible.all(axis=1)] * PX
    assert outside.mean() < 1.0
    step = np.abs(np.diff(truth.global_pose, axis=0)).max()
    assert np.abs(np.diff(fit.global_pose, axis=0)).max() < 3 * step + 0.02
    assert np.abs(np.diff(np.log(fit.cam[:, 0]))).max() < 0.05


def test_short_gaps_are_solved_within_their_piece(
    small_head: HeadAsset, basis: LandmarkBasis, monkeypatch: pytest.MonkeyPatch
) -> None:
    landmarks = moving(small_head, 300).landmarks
    landmarks[80:110] = np.nan

    def no_gap(*arguments: object) -> None:
        raise AssertionError("a gap of 30 frames lies within a piece")

    monkeypatch.setattr("occlufacediff.head.fit.fill_gap", no_gap)
    assert fit_clip(basis, landmarks, settings=replace(SETTINGS, piece_frames=100)).error_px < 0.6


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips(small_head: HeadAsset, basis: LandmarkBasis, frames: int) -> None:
    fit = fit_clip(basis, moving(small_head, frames).landmarks, settings=SETTINGS)
    assert fit.exp.shape == (frames, small_head.n_exp)
    assert fit.error_px < 1.0


def test_known_identity_is_kept(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    truth = moving(small_head, 10)
    fit = fit_clip(basis, truth.landmarks, settings=SETTINGS, shape=truth.shape)
    np.testing.assert_allclose(fit.shape, truth.shape, rtol=1e-6)
    assert fit.error_px < 0.5


def test_same_input_same_bytes(small_head: HeadAsset, basis: LandmarkBasis) -> None:
    landmarks = moving(small_head, 30).landmarks
    first, second = (fit_clip(basis, landmarks, settings=SETTINGS) for _ in range(2))
    assert first.exp.tobytes() == second.exp.tobytes()
    assert first.shape.tobytes() == second.shape.tobytes()


@pytest.mark.parametrize("frames", [1, 2, 31, 150])
def test_threads_do_not_change_the_result(small_head: HeadAsset, basis: LandmarkBasis, frames: int) -> None:
    landmarks = moving(small_head, frames).landmarks
    settings = replace(SETTINGS, piece_frames=100)
    one, *others = (fit_clip(basis, landmarks, settings=settings, threads=threads) for threads in (1, 2, 5))
    for other in others:
        assert other.exp.tobytes() == one.exp.tobytes()
        assert other.cam.tobytes() == one.cam.tobytes()


def test_wrong_input_is_named(basis: LandmarkBasis) -> None:
    with pytest.raises(ValueError, match="landmarks: got shape"):
        fit_clip(basis, np.zeros((5, 68, 2)), settings=SETTINGS)
    with pytest.raises(ValueError, match="visible: got shape"):
        fit_clip(basis, np.zeros((5, 468, 2)), settings=SETTINGS, visible=np.ones((4, 468)))
    with pytest.raises(ValueError, match="no frame of 5 has 12 visible"):
        fit_clip(basis, np.full((5, 478, 2), np.nan), settings=SETTINGS)
    with pytest.raises(ConfigError, match=r"noise_px: got 0\.0, needs more than 0"):
        check_settings(ReconstructionSettings(noise_px=0.0))
    with pytest.raises(ConfigError, match=r"exp_min: got 0\.5, needs at most 0"):
        check_settings(ReconstructionSettings(exp_min=0.5))
