"""Gaze: known angles come back from projected irises and from rendered eyes; hidden eyes follow or return."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from occlufacediff.config.landmarks import LandmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.export.arkit import arkit_motion
from occlufacediff.export.motion import PosedMotion
from occlufacediff.face_mesh import LEFT_EYE, LEFT_IRIS, RIGHT_EYE, RIGHT_IRIS
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.fit import FitResult, fit_clip
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.landmarks.detect import make_detector
from occlufacediff.landmarks.normalise import crop_boxes, to_crop
from occlufacediff.prediction.gaze import EYE_M, IRIS_M, Gaze, fill_hidden, find_gaze

FRAMES = 60


def test_short_gaps_are_interpolated_and_long_ones_return_to_the_median() -> None:
    angles, known = np.full((100, 2), 0.1), np.ones(100, dtype=bool)
    angles[:20] = 0.4
    known[18:24] = False
    known[40:90] = False
    angles[90:] = -0.3
    angles[~known] = 9
    out = fill_hidden(angles, known)
    np.testing.assert_array_equal(out[known], angles[known])
    np.testing.assert_allclose(out[18:24, 0], np.linspace(0.4, 0.1, 8)[1:-1])
    # The median is 0.1: the gaze starts at the value before, and goes to that after the gap.
    np.testing.assert_allclose(out[65], 0.1, atol=0.01)
    assert abs(out[89, 0] + 0.3) < 0.01
    assert np.abs(np.diff(out[60:90, 0])).max() < 0.06


def test_gaps_at_the_ends_return_to_the_median() -> None:
    known = np.zeros(60, dtype=bool)
    known[25:35] = True
    out = fill_hidden(np.full((60, 1), 0.2), known)
    np.testing.assert_allclose(out, 0.2)


@pytest.fixture(scope="module")
def scene(small_open_head: Path) -> tuple[HeadAsset, LandmarkBasis, FitResult]:
    """A head that turns and talks, as the fit sees it."""
    head, rng = HeadAsset.load(small_open_head), np.random.default_rng(5)
    times = np.linspace(0, 1, FRAMES)[:, None]
    shape = rng.standard_normal(head.n_shape).astype(np.float32)
    pose = np.concatenate([0.2 * np.sin(7 * times), 0.4 * np.sin(4 * times), 0.1 * times], axis=1).astype(np.float32)
    exp, jaw = np.zeros((FRAMES, head.n_exp), np.float32), np.zeros((FRAMES, 3), np.float32)
    cam = np.tile(np.array([7.0, 0.002, 0.01], np.float32), (FRAMES, 1))
    landmarks = project_numpy(landmarks_numpy(head, vertices_numpy(head, shape, exp, pose, jaw)), cam)
    fit = FitResult(shape, exp, jaw, pose, cam, landmarks.astype(np.float32), 0, 0, 0)
    return head, LandmarkBasis.of(head), fit


def irises_of(head: HeadAsset, fit: FitResult, angles: np.ndarray) -> np.ndarray:
    """Projected irises (T, 2, 2) of eyes of human size behind the front of the eyeballs, for yaw and pitch (T, 2)."""
    neutral = head.v_template + head.shapedirs @ fit.shape
    root = head.J_regressor[0] @ neutral
    out = []
    for region in ("left_eyeball", "right_eyeball"):
        front = neutral[head.regions[region]]
        middle = (front.max(axis=0) + front.min(axis=0)) / 2
        pivot = np.array([middle[0], middle[1], front[:, 2].max() - EYE_M])
        looks = Rotation.from_euler("YX", np.stack([angles[:, 0], -angles[:, 1]], axis=1)).apply([0, 0, IRIS_M])
        posed = Rotation.from_rotvec(fit.global_pose).apply(pivot + looks - root) + root
        out.append(project_numpy(posed[:, None], fit.cam)[:, 0])
    return np.stack(out, axis=1)


def found(
    scene: tuple[HeadAsset, LandmarkBasis, FitResult], irises: np.ndarray, mask: np.ndarray | None = None
) -> Gaze:
    head, basis, fit = scene
    lmk_2d = np.zeros((FRAMES, 468, 2), np.float32)
    lmk_2d[:, basis.indices] = fit.landmarks
    mask = np.ones((FRAMES, 468), np.float32) if mask is None else mask
    # The whole picture is displaced by a fit that is not exact: the eye corners show it.
    return find_gaze(head, basis, fit, irises + 0.02, lmk_2d + 0.02, mask)


def known_angles() -> np.ndarray:
    times = np.arange(FRAMES)
    return np.stack([0.3 * np.sin(times / 7), 0.15 * np.cos(times / 5)], axis=1)


@pytest.mark.slow
def test_known_angles_come_back_for_a_turning_head(scene: tuple[HeadAsset, LandmarkBasis, FitResult]) -> None:
    head, _, fit = scene
    angles = known_angles()
    gaze = found(scene, irises_of(head, fit, angles))
    assert gaze.visible.all()
    np.testing.assert_allclose(gaze.angles, np.repeat(angles[:, None], 2, axis=1), atol=np.deg2rad(1.5))
    motion = PosedMotion("talk", fit.exp, fit.jaw, fit.global_pose, fit.shape, 25, gaze.angles)
    weights = arkit_motion(motion, head)
    left = gaze.angles[:, 0, 0] > 0.02
    assert (weights.weight("eyeLookOutLeft")[left] > 0).all() and (weights.weight("eyeLookInRight")[left] > 0).all()
    assert (weights.weight("eyeLookInLeft")[left] == 0).all()


@pytest.mark.slow
def test_a_hidden_eye_follows_the_other_and_says_so(scene: tuple[HeadAsset, LandmarkBasis, FitResult]) -> None:
    head, _, fit = scene
    irises, mask = irises_of(head, fit, known_angles()), np.ones((FRAMES, 468), np.float32)
    mask[20:, RIGHT_EYE] = 0
    irises[20:, 1] = 5  # what the detector says of a hidden eye does not count
    gaze = found(scene, irises, mask)
    np.testing.assert_array_equal(gaze.visible[:, 1], np.arange(FRAMES) < 20)
    np.testing.assert_allclose(gaze.angles[:, 1], known_angles(), atol=np.deg2rad(1.5))
    mask[:, LEFT_EYE] = mask[:, RIGHT_EYE] = 0
    assert not found(scene, irises, mask).visible.any()
    assert not found(scene, irises, mask).angles.any()
    assert not found(scene, np.full_like(irises, np.nan)).angles.any()


@pytest.mark.slow
def test_rendered_eyes_are_followed(small_open_head: Path) -> None:
    """The detector sees a rendered head whose eyes turn by known angles."""
    from occlufacediff.rendering.mesh import Light, SmoothNormals, shade, to_screen
    from occlufacediff.rendering.renderer import make_renderer

    head, size = HeadAsset.load(small_open_head), 480
    renderer, normals = make_renderer(size, size, head.faces), SmoothNormals(head.faces, head.n_vertices)
    grey = np.full((size, size, 3), 120, np.uint8)
    lights = (Light((0.4, 0.5, 1.0), (0.55, 0.55, 0.55)), Light((-0.5, 0.1, 0.7), (0.2, 0.2, 0.2)))
    given = np.array([(yaw, pitch) for yaw in (-24, -8, 8, 24) for pitch in (-10, 0, 10)], dtype=float)
    assert head.vertex_colors is not None
    faces = []
    with make_detector(LandmarkSettings()) as detector:
        for yaw, pitch in np.deg2rad(given):
            vertices, turn = head.v_template.copy(), Rotation.from_euler("YX", (yaw, -pitch))
            for region in ("left_eyeball", "right_eyeball"):
                rows = head.regions[region]
                middle = (vertices[rows].max(axis=0) + vertices[rows].min(axis=0)) / 2
                pivot = np.array([middle[0], middle[1], vertices[rows, 2].max() - np.ptp(vertices[rows, 1]) / 2])
                vertices[rows] = turn.apply(vertices[rows] - pivot) + pivot
            lit = shade(head.vertex_colors, normals(vertices), lights, 0.35)
            screen = to_screen(vertices, np.array([7.5, 0, 0], np.float32), size, size)
            faces.append(detector.detect(renderer.render(screen, lit, grey))[0])
    landmarks = np.stack(faces)
    boxes = crop_boxes(landmarks)
    inside = to_crop(landmarks, boxes).astype(np.float32)
    lmk_2d, mask = inside[:, :468], np.ones((len(inside), 468), np.float32)
    basis = LandmarkBasis.of(head)
    fit = fit_clip(basis, lmk_2d, settings=ReconstructionSettings(), boxes=boxes, visible=mask)
    irises = np.stack([inside[:, LEFT_IRIS].mean(axis=1), inside[:, RIGHT_IRIS].mean(axis=1)], axis=1)
    gaze = np.degrees(find_gaze(head, basis, fit, irises, lmk_2d, mask).angles[:, 0])
    for column in range(2):
        assert np.corrcoef(given[:, column], gaze[:, column])[0, 1] > 0.95
    slope = np.polyfit(given[:, 0], gaze[:, 0], 1)[0]
    assert 0.75 < slope < 1.25
