"""The benchmark runs our method as `predict` does, with and without adaptation to the clip."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_head import N_EXP, N_SHAPE, small_head

from occlufacediff.benchmark.methods import run_methods
from occlufacediff.benchmark.occluded_recording import OccludedRecording, occlude_recording
from occlufacediff.benchmark.recording import Recording
from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.config.benchmark import BenchmarkSettings
from occlufacediff.config.reconstruction import ReconstructionSettings
from occlufacediff.face_mesh import LIPS
from occlufacediff.head.fit import fit_clip
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.refinement import refine_motion
from occlufacediff.head.skinning import landmarks_numpy, project_numpy, vertices_numpy
from occlufacediff.models.denoiser import Denoiser, DenoiserConfig
from occlufacediff.models.motion_prior import MotionPrior, MotionPriorConfig
from occlufacediff.prediction.networks import Networks
from occlufacediff.prediction.speech import Speech

FRAMES = 40
BASIS = LandmarkBasis.of(small_head())


@pytest.fixture(scope="module")
def recording() -> Recording:
    """The small head opens and closes its jaw."""
    head, time = small_head(), np.arange(FRAMES) / 25
    exp, still = np.full((FRAMES, N_EXP), 0.2), np.zeros((FRAMES, 3))
    jaw = np.column_stack([0.15 + 0.1 * np.sin(8 * time), still[:, :2]])
    cam = np.tile([7.0, 0.0, 0.0], (FRAMES, 1))
    points = project_numpy(landmarks_numpy(head, vertices_numpy(head, np.zeros(N_SHAPE), exp, still, jaw)), cam)
    fit = fit_clip(BASIS, points, settings=ReconstructionSettings())
    return Recording(
        lmk_2d=points.astype(np.float32), known=np.ones((FRAMES, 468), bool),
        boxes=np.tile(np.float32([0, 0, 224]), (FRAMES, 1)), log_mel=np.zeros((4 * FRAMES, 80), np.float32),
        waveform=np.zeros(640 * FRAMES, np.float32), motion=np.concatenate([fit.exp, fit.jaw], axis=1),
        shape=fit.shape, global_pose=fit.global_pose, cam=fit.cam, points=fit.landmarks, level=-20.0, fit_px=0.1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def occluded(recording: Recording) -> OccludedRecording:
    """The lips are occluded in the middle half."""
    drawn = occlude_recording(recording, "clip", "mouth", "middle", seed=0, pictures=None)
    scored = np.zeros((FRAMES, 468), bool)
    scored[np.ix_(drawn.frames, LIPS)] = True
    return replace(drawn, visible=(~scored).astype(np.float32), scored=scored)


def _networks(known_spread: bool) -> Networks:
    torch.manual_seed(0)
    prior = MotionPrior(MotionPriorConfig.compact(N_EXP + 3))
    if known_spread:
        prior.set_motion_statistics(torch.full((N_EXP + 3,), 0.05), torch.full((N_EXP + 3,), 0.1))
    return Networks(Denoiser(DenoiserConfig.compact(prior.config.latent_dim)).eval(), prior.eval(), torch.device("cpu"))


def test_frames_without_a_face_reveal_no_motion(recording: Recording) -> None:
    known = recording.known.copy()
    known[[5, 20]] = False
    watched = replace(recording, known=known)
    drawn = occlude_recording(watched, "clip", "everything", "all", seed=0, pictures=None)
    settings = BenchmarkSettings(
        methods=("ours", "interpolation", "hold", "visible_mean", "bridge", "neutral"), steps=2,
        adaptation=AdaptationSettings(samples=2),
    )  # fmt: skip
    motions = run_methods(
        watched, "clip", drawn, Speech(recording.waveform, recording.log_mel), None, BASIS, _networks(True),
        settings=settings, reconstruction=ReconstructionSettings(), seed=0,
    ).motions  # fmt: skip
    for method in ("interpolation", "hold", "visible_mean", "bridge"):
        np.testing.assert_array_equal(motions[method], motions["neutral"])


@pytest.mark.parametrize(
    ("enabled", "known_spread", "adapted"), [(True, True, True), (False, True, False), (True, False, False)]
)
def test_motion_without_adaptation_is_fitted_to_visible_landmarks_as_in_predict(
    recording: Recording, occluded: OccludedRecording, enabled: bool, known_spread: bool, adapted: bool
) -> None:
    networks = _networks(known_spread)
    settings = BenchmarkSettings(
        methods=("ours", "interpolation"), steps=2, adaptation=AdaptationSettings(enabled=enabled, samples=2)
    )
    result = run_methods(
        recording, "clip", occluded, Speech(recording.waveform, recording.log_mel), None, BASIS, networks,
        settings=settings, reconstruction=ReconstructionSettings(), seed=0,
    )  # fmt: skip
    assert result.ours.adapted == adapted
    assert np.isfinite(result.ours.spread).all() == adapted
    followed = {
        joined: refine_motion(
            BASIS, result.ours.motion, recording.lmk_2d, occluded.visible, result.fit.shape,
            settings=ReconstructionSettings(), boxes=recording.boxes, adapted=joined,
        )
        for joined in (True, False)
    }  # fmt: skip
    np.testing.assert_array_equal(result.motions["ours"], followed[adapted])
    assert np.abs(followed[True] - followed[False]).max() > 1e-3
