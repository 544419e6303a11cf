"""Metrics of the field on cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from occlufacediff.evaluation import field_metrics, lip_timing, metrics
from occlufacediff.evaluation.sample_metrics import coverage, diversity


def test_lve_by_frame_is_the_largest_square_averaged_over_frames() -> None:
    # Largest distances: 3 mm in frame 0, 4 mm in frame 1. The published LVE averages (3, 4) over vertices instead.
    errors = np.array([[3.0, 1.0], [2.0, 4.0]])
    assert field_metrics.lve_frame(errors) == ((9 + 16) / 2, 2)
    assert errors.max(axis=0).mean() == 3.5
    # Without the vertex of 4 mm and with frame 0 unseen, 2 mm remain in one frame.
    observed = np.array([[False, False], [True, False]])
    assert field_metrics.lve_frame(errors, observed) == (4.0, 1)
    assert field_metrics.lve_frame(errors, np.zeros((2, 2), bool)) is None


def moving(*offsets_mm: float) -> np.ndarray:
    """One vertex that moves along x, (T, 1, 3), metres."""
    points = np.zeros((len(offsets_mm), 1, 3))
    points[:, 0, 0] = np.array(offsets_mm) / 1000
    return points


def test_fdd_is_signed_and_compares_standard_deviations() -> None:
    still = moving(0, 0, 0, 0)
    # Squared offsets 0, 4, 0, 4 mm^2 have the standard deviation 2; those of 1 mm have 0.5.
    large, small = moving(0, 2, 0, 2), moving(0, 1, 0, 1)
    assert field_metrics.fdd(large, small, still) == pytest.approx(1.5)
    assert field_metrics.fdd(small, large, still) == pytest.approx(-1.5)
    # Head motion that all three share does not count.
    shift = moving(5, 7, -3, 1)
    assert field_metrics.fdd(large + shift, small + shift, still + shift) == pytest.approx(1.5)
    # Frames 0 and 1 only: offsets 0 and 2 mm, and 0 and 1 mm.
    first = np.array([[True], [True], [False], [False]])
    assert field_metrics.fdd(large, small, still, first) == pytest.approx(1.5)
    assert field_metrics.fdd(large, small, still, np.array([[True], [False], [False], [False]])) is None


def test_intensities_of_lips_and_speech() -> None:
    assert field_metrics.lip_intensity(moving(3, 5), moving(0, 1)) == pytest.approx(3.5)
    assert field_metrics.lip_intensity(moving(3, 5), moving(0, 1), np.array([[False], [True]])) == pytest.approx(4)
    assert field_metrics.lip_intensity(moving(3, 5), moving(0, 1), np.zeros((2, 1), bool)) is None
    assert field_metrics.speech_intensity([3.0, -4.0, 0.0, 0.0]) == 2.5
    with pytest.raises(ValueError, match="empty"):
        field_metrics.speech_intensity([])


def brute_force(a: np.ndarray, b: np.ndarray) -> float:
    """Cost of the cheapest alignment, cell by cell."""
    cost = np.full((len(a) + 1, len(b) + 1), np.inf)
    cost[0, 0] = 0
    for i in range(1, len(a) + 1):
        for j in range(1, len(b) + 1):
            before = min(cost[i - 1, j - 1], cost[i - 1, j], cost[i, j - 1])
            cost[i, j] = before + abs(a[i - 1] - b[j - 1])
    return float(cost[-1, -1])


@given(st.integers(1, 20), st.integers(0, 10**6))
def test_the_warping_path_is_the_cheapest(frames: int, seed: int) -> None:
    a, b = np.random.default_rng(seed).integers(0, 5, (2, frames)).astype(float)
    i, j = lip_timing.warping_path(a, b)
    assert (i[0], j[0], i[-1], j[-1]) == (0, 0, frames - 1, frames - 1)
    steps = np.stack([np.diff(i), np.diff(j)])
    assert set(map(tuple, steps.T)) <= {(1, 0), (0, 1), (1, 1)}
    assert np.abs(a[i] - b[j]).sum() == brute_force(a, b)


def test_the_warping_path_stays_in_its_band() -> None:
    a, b = np.zeros(60), np.zeros(60)
    a[10], b[50] = 1, 1
    i, j = lip_timing.warping_path(a, b, band=5)
    assert np.abs(i - j).max() <= 5
    assert np.abs(a[i] - b[j]).sum() == 2
    with pytest.raises(ValueError, match="equal lengths"):
        lip_timing.warping_path(a, b[:9])


def test_time_warping_forgives_a_delay() -> None:
    truth, late = np.array([0.0, 0, 4, 0, 0, 0]), np.array([0.0, 0, 0, 4, 0, 0])
    assert np.abs(truth - late).mean() == pytest.approx(8 / 6)
    assert lip_timing.lip_dtw(truth, late) == 0
    # 3 mm instead of 4 in one of six aligned frames.
    assert lip_timing.lip_dtw(truth, np.array([0.0, 0, 3, 0, 0, 0])) == pytest.approx(1 / 6)


def test_misalignment_of_a_delayed_mouth_is_the_delay() -> None:
    time = np.arange(105)
    truth = 5 + 4 * np.sin(2 * np.pi * time / 25)
    for delay in (0, 1, 3):
        late = 5 + 4 * np.sin(2 * np.pi * (time - delay) / 25)
        found, matched = lip_timing.misalignment(truth, late, fps=25)
        assert found == pytest.approx(40 * delay, abs=1e-9), delay
        assert matched == 1
    assert lip_timing.misalignment(truth, np.full(105, 5.0), fps=25) == (None, 0.0)
    assert lip_timing.misalignment(np.full(105, 5.0), truth, fps=25) == (None, None)


def test_diversity_is_the_mean_distance_of_pairs() -> None:
    # Distances of the pairs: 1, 3 and 2 mm.
    samples = np.stack([moving(0, 0), moving(1, 1), moving(3, 3)])
    assert diversity(samples) == pytest.approx(2)
    with pytest.raises(ValueError, match="at least 2"):
        diversity(samples[:1])


def test_coverage_counts_true_values_within_the_interval() -> None:
    # Two samples at 0 and 2: mean 1, standard deviation sqrt(2); Student's t with 1 degree of freedom is 1 at 75 %,
    # so the interval of 50 % is 1 +- sqrt(2) * sqrt(1.5) = 1 +- 1.732.
    samples = np.array([[0.0] * 4, [2.0] * 4])
    assert coverage(np.array([1.0, 2.7, -0.7, 2.8]), samples, 0.5) == 0.75
    rng = np.random.default_rng(0)
    for level in (0.5, 0.9):
        drawn = rng.normal(3, 2, (5, 40_000))
        assert coverage(rng.normal(3, 2, 40_000), drawn, level) == pytest.approx(level, abs=0.01)
        # A spread of half the size covers less: the quantile refers to twice the distance.
        narrow = 3 + (drawn - 3) / 2
        assert coverage(rng.normal(3, 2, 40_000), narrow, level) < level - 0.1


def test_directions_and_units_of_all_metrics() -> None:
    for name in metrics.UNITS:
        assert metrics.unit_of(name + metrics.HIDDEN + metrics.POOLED) == metrics.UNITS[name]
    assert metrics.best_of("lve_hidden") == "lowest"
    assert metrics.best_of("slcc") == "highest"
    assert metrics.best_of("fdd") is None
    assert metrics.best_of("lmk_2d_error_hidden_pooled") == "lowest"
