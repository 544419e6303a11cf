"""The causal fit, gaze and visibility on generated landmarks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.spatial.transform import Rotation
from small_head import N_EXP, N_SHAPE, small_head

from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.face_mesh import CORNERS_OF_EYES, LEFT_EYE, MESH_POINTS, RIGHT_EYE
from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.landmarks.normalise import crop_boxes
from occlufacediff.live.gaze import DEPTH_M, IRISES, RADIUS_M, RAISE_M, CausalGaze
from occlufacediff.live.head_fit import CausalFit, Pose, live_settings
from occlufacediff.live.identity import LEARN_AT, IdentityLearner
from occlufacediff.live.visibility import CausalVisibility

FRAMES = 100
ALL = np.ones(MESH_POINTS, bool)
STEP = 1 / 25


def arkit_head() -> HeadAsset:
    return replace(small_head(), expression_names=EXPRESSION_NAMES[:N_EXP])


def talk(head: HeadAsset, shape: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Expression (T, E), jaw (T, 3), pose (T, 3) and landmarks (T, 468, 2) of a moving head, pixels."""
    time = np.arange(FRAMES)[:, None] * STEP
    exp = 0.5 + 0.4 * np.sin(time * np.linspace(3, 7, N_EXP) + np.arange(N_EXP))
    jaw = np.concatenate([0.15 + 0.1 * np.sin(9 * time), np.zeros((FRAMES, 2))], axis=1)
    pose = np.concatenate([0.1 * np.sin(2 * time), 0.3 * np.sin(1.5 * time), 0.05 * np.cos(time)], axis=1)
    cam = np.concatenate([1800 + 200 * np.sin(time), 0.15 + 0.02 * np.cos(time), -0.15 + 0 * time], axis=1)
    points = landmarks_numpy(head, vertices_numpy(head, shape, exp, pose, jaw))
    return exp, jaw, pose, project_numpy(points, cam).astype(np.float32)


def followed(fit: CausalFit, landmarks: np.ndarray, visible: np.ndarray) -> list[Pose]:
    return [
        fit.step(points, seen, crop_boxes(points).astype(np.float32), STEP)
        for points, seen in zip(landmarks, visible, strict=True)
    ]


def test_the_fit_follows_expression_jaw_and_head() -> None:
    head = arkit_head()
    shape = np.random.default_rng(1).normal(size=N_SHAPE).astype(np.float32)
    _, jaw, pose, landmarks = talk(head, shape)
    fit = CausalFit(LandmarkBasis.of(head), live_settings(ReconstructionSettings()))
    fit.set_identity(shape)
    found = followed(fit, landmarks, np.tile(ALL, (FRAMES, 1)))[20:]
    assert max(one.error_px for one in found) < 0.5
    turned = np.array([one.global_pose for one in found])
    away = Rotation.from_rotvec(turned).inv() * Rotation.from_rotvec(pose[20:])
    assert np.degrees(away.magnitude()).max() < 2
    assert np.corrcoef([one.jaw[0] for one in found], jaw[20:, 0])[0, 1] > 0.99
    exp = np.array([one.exp for one in found])
    assert exp.min() >= 0 and exp.max() <= 1


def test_the_camera_follows_the_picture() -> None:
    """Scale and offset project the fitted landmarks to the picture."""
    head = arkit_head()
    shape = np.zeros(N_SHAPE, np.float32)
    _, _, _, landmarks = talk(head, shape)
    basis = LandmarkBasis.of(head)
    fit = CausalFit(basis, live_settings(ReconstructionSettings()))
    for points in landmarks[:30]:
        pose = fit.step(points, ALL, crop_boxes(points).astype(np.float32), STEP)
    local = basis.local(np.zeros(N_SHAPE), pose.exp[None].astype(float), pose.jaw[None].astype(float))[0]
    turned = Rotation.from_rotvec(pose.global_pose).apply(local)
    drawn = pose.scale * turned[:, :2] * [1, -1] + pose.offset
    assert np.linalg.norm(drawn - landmarks[29], axis=1).mean() < 2


def test_hidden_motion_approaches_the_average_and_returns_at_once() -> None:
    head = arkit_head()
    shape = np.zeros(N_SHAPE, np.float32)
    _, jaw, _, landmarks = talk(head, shape)
    basis = LandmarkBasis.of(head)
    # Points that hang on the jaw, and those around the mouth that all expressions of this head move.
    middle = head.v_template[head.triangles_of_landmarks].mean(axis=1)
    hidden = (middle[:, 1] < 0) & (middle[:, 2] > 0)
    assert (~hidden).sum() > 50
    visible = np.tile(ALL, (FRAMES, 1))
    visible[50:90] = ~hidden
    fit = CausalFit(basis, live_settings(ReconstructionSettings()))
    found = np.array([one.jaw[0] for one in followed(fit, landmarks, visible)])
    seen = found[10:50].mean()
    before, after = abs(found[49] - seen), abs(found[88] - seen)
    assert before > 0.02
    assert after < 0.5 * before
    assert found[95:] == pytest.approx(jaw[95:, 0], abs=0.05)


def test_without_a_face_the_head_stays_and_the_fit_starts_again() -> None:
    head = arkit_head()
    _, _, pose, landmarks = talk(head, np.zeros(N_SHAPE, np.float32))
    fit = CausalFit(LandmarkBasis.of(head), live_settings(ReconstructionSettings()))
    last = followed(fit, landmarks[:30], np.tile(ALL, (30, 1)))[-1]
    for _ in range(50):
        away = fit.coast(STEP)
    np.testing.assert_array_equal(away.global_pose, last.global_pose)
    assert np.isnan(away.error_px)
    again = fit.step(landmarks[80], ALL, crop_boxes(landmarks[80]).astype(np.float32), STEP)
    turn = Rotation.from_rotvec(again.global_pose).inv() * Rotation.from_rotvec(pose[80])
    assert np.degrees(turn.magnitude()) < 2


def test_the_identity_is_learnt_from_the_first_frames() -> None:
    head = arkit_head()
    shape = 1.5 * np.random.default_rng(2).normal(size=N_SHAPE).astype(np.float32)
    _, _, _, landmarks = talk(head, shape)
    basis, settings = LandmarkBasis.of(head), live_settings(ReconstructionSettings())
    learner, fit, errors = IdentityLearner(basis, settings), CausalFit(basis, settings), []
    for points in landmarks:
        box = crop_boxes(points).astype(np.float32)
        learner.add(points, ALL, box, 0.1)
        learner.wait()
        found = learner.take()
        if found is not None:
            assert learner.take() is None
            fit.set_identity(found)
        errors.append(fit.step(points, ALL, box, STEP).error_px)
    first = 3 * (LEARN_AT[0] - 1)
    assert np.mean(errors[-20:]) < 0.5 * np.mean(errors[:first])


def test_frames_that_show_little_do_not_teach_the_identity() -> None:
    head = arkit_head()
    _, _, _, landmarks = talk(head, np.zeros(N_SHAPE, np.float32))
    learner = IdentityLearner(LandmarkBasis.of(head), live_settings(ReconstructionSettings()))
    few = np.arange(MESH_POINTS) < MESH_POINTS // 2
    for points in landmarks:
        learner.add(points, few, crop_boxes(points).astype(np.float32), 0.5)
    learner.wait()
    assert learner.take() is None


@pytest.mark.parametrize(("yaw", "pitch"), [(0.0, 0.0), (0.4, 0.0), (-0.3, 0.1), (0.1, -0.25)])
@pytest.mark.parametrize("turn", [(0.0, 0.0, 0.0), (0.1, 0.35, 0.1)])
def test_gaze_is_relative_to_the_head(yaw: float, pitch: float, turn: tuple[float, float, float]) -> None:
    """Eyes of a known gaze are drawn with the head turned; looking to the subject's left is to the picture's right."""
    scale, head = 2000.0, Rotation.from_rotvec(turn)
    landmarks = np.full((478, 2), 300.0, np.float32)
    sight = np.array([np.sin(yaw) * np.cos(pitch), np.sin(pitch), np.cos(yaw) * np.cos(pitch)])
    for side, eye, iris, ring in zip((1, -1), CORNERS_OF_EYES, IRISES, (LEFT_EYE, RIGHT_EYE), strict=True):
        middle = np.array([side * 0.03, 0.03, 0.06])
        for point in ring:
            angle = 2 * np.pi * ring.index(point) / len(ring)
            corner = middle + 0.006 * np.array([0, np.sin(angle), 0])
            landmarks[point] = scale * head.apply(corner)[:2] * [1, -1] + 400
        for point, across in zip(eye, (0.015, -0.015), strict=True):
            landmarks[point] = scale * head.apply(middle + np.array([side * across, 0, 0]))[:2] * [1, -1] + 400
        for point, up in zip(((386, 374), (159, 145))[side < 0], (0.005, -0.005), strict=True):
            landmarks[point] = scale * head.apply(middle + np.array([0, up, 0]))[:2] * [1, -1] + 400
        landmarks[iris] = scale * head.apply(middle + [0, RAISE_M, -DEPTH_M] + RADIUS_M * sight)[:2] * [1, -1] + 400
    none = np.zeros(3, np.float32)
    pose = Pose(
        np.zeros(N_EXP, np.float32),
        none,
        head.as_rotvec().astype(np.float32),
        scale,
        none[:2],
        0.0,
        np.ones(N_EXP + 3, np.float32),
    )
    gaze = CausalGaze()
    np.testing.assert_allclose(gaze.step(landmarks, ALL, pose, 10), [[yaw, pitch]] * 2, atol=1e-3)
    # Closed eyes keep the last gaze.
    for upper, lower in ((386, 374), (159, 145)):
        landmarks[upper] = landmarks[lower]
    np.testing.assert_allclose(gaze.step(landmarks + 5, ALL, pose, 10), [[yaw, pitch]] * 2, atol=1e-3)


def look(hidden: np.ndarray, value: float) -> np.ndarray:
    return np.where(hidden, value, 0.97).astype(np.float32)


def test_one_doubtful_look_hides_nothing_and_two_do() -> None:
    mouth = np.zeros(MESH_POINTS, bool)
    mouth[[0, 11, 12, 13, 14, 15, 16, 17, 37, 38, 39, 40, 41, 42, 61, 62, 72, 73, 74, 76, 77, 78, 80, 81, 82, 84]] = (
        True
    )
    mouth[[85, 86, 87, 88, 89, 90, 91, 95, 96, 146, 178, 179, 180, 181, 183, 184, 185, 191]] = True
    causal = CausalVisibility()
    for _ in range(3):
        assert not causal.add(look(mouth, 0.97)).any()
    assert not causal.add(look(mouth, 0.5)).any()
    assert causal.add(look(mouth, 0.5))[mouth].mean() > 0.5
    # A sure look hides at once; it takes two to show the mouth again.
    causal = CausalVisibility()
    causal.add(look(mouth, 0.97))
    causal.add(look(mouth, 0.97))
    assert causal.add(look(mouth, 0.02))[mouth].mean() > 0.5
    causal.add(look(mouth, 0.02))
    assert causal.add(look(mouth, 0.97)).any()
    assert not causal.add(look(mouth, 0.97)).any()
