"""Whether spreads cover: intervals of the lip opening of motions whose errors are known."""

import numpy as np
import pytest
from small_head import small_head

from occlufacediff.benchmark.calibration import calibration, opening_spread
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import opening

FRAMES = 400


@pytest.fixture(scope="module")
def basis() -> LandmarkBasis:
    return LandmarkBasis.of(small_head())


def motions(basis: LandmarkBasis) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A still motion, the spread of its jaw, and a truth that errs by just so much."""
    rng = np.random.default_rng(0)
    motion = np.zeros((FRAMES, basis.n_exp + 3), np.float32)
    motion[:, -3] = 0.15
    spread = np.zeros_like(motion)
    spread[:, -3] = np.where(np.arange(FRAMES) % 2, 0.01, 0.04)
    return motion, spread, motion + spread * rng.standard_normal((FRAMES, 1)).astype(np.float32)


def test_right_spreads_cover_and_rank(basis: LandmarkBasis) -> None:
    shape, frames = np.zeros(basis.n_shape, np.float32), np.ones(FRAMES, bool)
    motion, spread, truth = motions(basis)
    found = calibration(basis, shape, motion, spread, shape, truth, frames)
    assert found["coverage_50"] == pytest.approx(0.5, abs=0.07)
    assert found["coverage_90"] == pytest.approx(0.9, abs=0.05)
    assert found["spread_rank"] > 0.4
    # Of a normal error of this standard deviation, which is that of the opening, the mean is 0.8 times it.
    assert found["mean_opening_error_mm"] == pytest.approx(0.8 * found["mean_opening_spread_mm"], rel=0.1)
    assert found["mean_opening_spread_mm"] == pytest.approx(1000 * opening_spread(basis, shape, motion, spread).mean())
    narrow = calibration(basis, shape, motion, 0.3 * spread, shape, truth, frames)
    assert narrow["coverage_90"] < 0.6


def test_too_few_frames_tell_nothing(basis: LandmarkBasis) -> None:
    shape, frames = np.zeros(basis.n_shape, np.float32), np.arange(FRAMES) < 5
    found = calibration(basis, shape, *motions(basis)[:2], shape, motions(basis)[2], frames)
    assert all(np.isnan(value) for value in found.values())


def test_a_spread_that_is_not_known_covers_nothing(basis: LandmarkBasis) -> None:
    shape, frames = np.zeros(basis.n_shape, np.float32), np.ones(FRAMES, bool)
    motion, spread, truth = motions(basis)
    found = calibration(basis, shape, motion, np.full_like(spread, np.nan), shape, truth, frames)
    assert all(np.isnan(value) for value in found.values())


def test_slopes_are_those_of_the_opening(basis: LandmarkBasis) -> None:
    shape = np.zeros(basis.n_shape, np.float32)
    motion, spread, _ = motions(basis)
    wider = motion.copy()
    wider[:, -3] += spread[:, -3]
    grown = np.abs(opening(basis, shape, wider) - opening(basis, shape, motion))
    np.testing.assert_allclose(opening_spread(basis, shape, motion, spread), grown, rtol=0.05)
