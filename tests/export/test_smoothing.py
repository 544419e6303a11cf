"""Smoothing of exports: no lag, constants and closures stay, jitter and the distance to the truth fall."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_head import N_EXP, N_SHAPE, small_head

from occlufacediff.config.names import SMOOTHING
from occlufacediff.export.motion import PosedMotion
from occlufacediff.export.smoothing import BLINK_MM, gap, smooth_channel, smoothed
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIDS_OF_EYES
from occlufacediff.head.asset import HeadAsset
from occlufacediff.head.landmark_basis import LandmarkBasis

FRAMES, FPS = 150, 25.0
ON = [strength for strength in SMOOTHING if strength != "off"]


def speech_like(rng: np.random.Generator, fastest: float = 3.0) -> np.ndarray:
    """Smooth random values (T,) in 0 to 1 without movements above ``fastest`` Hz."""
    times = np.arange(FRAMES) / FPS
    waves = [np.sin(2 * np.pi * (rng.uniform(0.2, fastest) * times + rng.uniform())) for _ in range(6)]
    return 0.5 + 0.08 * np.sum(waves, axis=0)


def motion_of(head: HeadAsset, **values: np.ndarray) -> PosedMotion:
    frames = len(next(iter(values.values())))
    parts = {
        "exp": np.zeros((frames, head.n_exp), np.float32),
        "jaw": np.zeros((frames, 3), np.float32),
        "global_pose": np.zeros((frames, 3), np.float32),
    } | {name: value.astype(np.float32) for name, value in values.items()}
    return PosedMotion("talk", shape=np.zeros(head.n_shape, np.float32), fps=FPS, **parts)


@pytest.mark.parametrize("strength", SMOOTHING)
@pytest.mark.parametrize("frames", [1, 2, 4, 5, 30])
def test_constant_motion_is_unchanged(strength: str, frames: int) -> None:
    rng = np.random.default_rng(1)
    exp, jaw = np.tile(rng.uniform(0, 1, N_EXP), (frames, 1)), np.tile([0.2, 0.01, 0.0], (frames, 1))
    motion = motion_of(small_head(), exp=exp, jaw=jaw, global_pose=np.tile([0.3, -2.5, 0.1], (frames, 1)))
    out = smoothed(motion, small_head(), strength)
    for name in ("exp", "jaw", "global_pose"):
        np.testing.assert_allclose(getattr(out, name), getattr(motion, name), atol=1e-6)


def test_off_is_the_motion_itself() -> None:
    rng = np.random.default_rng(2)
    motion = motion_of(small_head(), exp=rng.standard_normal((40, N_EXP)))
    assert smoothed(motion, small_head(), "off") is motion
    assert len(motion.shape) == N_SHAPE


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), noise=st.floats(0.001, 0.05), cutoff=st.floats(0.08, 0.32))
def test_a_channel_is_nearer_to_the_truth_without_lag(seed: int, noise: float, cutoff: float) -> None:
    rng = np.random.default_rng(seed)
    truth = speech_like(rng)
    noisy = truth + noise * rng.standard_normal(FRAMES)
    out = smooth_channel(noisy, cutoff, np.zeros(FRAMES))

    def jitter(values: np.ndarray) -> float:
        return float(np.sqrt(np.mean(np.diff(values, 3) ** 2)))

    assert jitter(out) < jitter(noisy)
    centred = truth - truth.mean()
    lags = [np.dot(out[5 : FRAMES - 5] - out.mean(), centred[5 + lag : FRAMES - 5 + lag]) for lag in range(-5, 6)]
    assert int(np.argmax(lags)) == 5
    # Reversed in time, the result is reversed.
    np.testing.assert_allclose(smooth_channel(noisy[::-1], cutoff, np.zeros(FRAMES))[::-1], out, atol=1e-9)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), place=st.integers(0, FRAMES - 1), cutoff=st.floats(0.08, 0.32))
def test_kept_frames_stay(seed: int, place: int, cutoff: float) -> None:
    rng = np.random.default_rng(seed)
    noisy = speech_like(rng) + 0.02 * rng.standard_normal(FRAMES)
    noisy[place] -= 0.4
    kept = np.exp(-0.5 * ((np.arange(FRAMES) - place) / 1.25) ** 2)
    out = smooth_channel(noisy, cutoff, kept)
    assert abs(out[place] - noisy[place]) < 0.01


def test_a_step_is_not_rounded() -> None:
    rng = np.random.default_rng(3)
    step = np.where(np.arange(FRAMES) < 75, 0.1, 0.9)
    out = smooth_channel(step + 0.005 * rng.standard_normal(FRAMES), 0.16, np.zeros(FRAMES))
    assert np.abs(out - step).max() < 0.05


@pytest.fixture(scope="module")
def talk(small_open_head: Path) -> tuple[HeadAsset, PosedMotion, PosedMotion]:
    """A head, a true motion with closures and blinks, and the motion with noise."""
    head, rng = HeadAsset.load(small_open_head), np.random.default_rng(4)
    exp, jaw = np.zeros((FRAMES, head.n_exp)), np.zeros((FRAMES, 3))
    jaw[:, 0] = 0.12 * speech_like(rng, fastest=1.0) + 0.05
    for place in (20, 47, 48, 90, 130):
        jaw[place - 1 : place + 2, 0] *= (0.5, 0.0, 0.5)
    for name in ("eyeBlinkLeft", "eyeBlinkRight"):
        for place in (30, 100):
            exp[place - 2 : place + 3, head.expression_names.index(name)] = (0.3, 0.8, 1.0, 0.7, 0.3)
    exp[:, head.expression_names.index("browInnerUp")] = speech_like(rng, fastest=1.0)
    exp[:, head.expression_names.index("mouthSmileLeft")] = 0.3 * speech_like(rng)
    turn = np.stack([size * speech_like(rng, fastest=1.0) for size in (0.2, 0.3, 0.1)], axis=1)
    truth = motion_of(head, exp=exp, jaw=jaw, global_pose=turn)
    # Less than the depth of a closure, as in predictions of visible mouths.
    noise = {"exp": 0.01, "jaw": 0.001, "global_pose": 0.004}
    given = {name: getattr(truth, name) for name in noise}
    noisy = {name: values + noise[name] * rng.standard_normal(values.shape) for name, values in given.items()}
    return head, truth, replace(truth, **{name: value.astype(np.float32) for name, value in noisy.items()})


@pytest.mark.slow
@pytest.mark.parametrize("strength", ON)
def test_jitter_falls_and_closures_and_blinks_stay(
    talk: tuple[HeadAsset, PosedMotion, PosedMotion], strength: str
) -> None:
    head, truth, noisy = talk
    out, basis = smoothed(noisy, head, strength), LandmarkBasis.of(head)

    def error(motion: PosedMotion, name: str) -> float:
        return float(np.sqrt(np.mean((getattr(motion, name) - getattr(truth, name)) ** 2)))

    for name in ("global_pose", "jaw", "exp"):
        assert error(out, name) < 0.95 * error(noisy, name), name
    mouth = (INNER_LIP_TOP, INNER_LIP_BOTTOM)
    before, after = gap(basis, noisy, *mouth), gap(basis, out, *mouth)
    for place in (20, 47, 48, 90, 130):
        assert abs(after[place] - before[place]) < 0.3
    for top, bottom in LIDS_OF_EYES:
        before, after = gap(basis, noisy, top, bottom), gap(basis, out, top, bottom)
        assert before.max() - before.min() > BLINK_MM
        for place in (30, 100):
            assert abs(after[place] - before[place]) < 0.3
