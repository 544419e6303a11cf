"""The audio offset is estimated from the visible frames, with probabilities."""

import numpy as np
import pytest
from test_adapt import FRAMES, smooth

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.prediction.gaussian_process import Process
from occlufacediff.prediction.offset import NO_OFFSET, Offset, find_offset, moved

SETTINGS = AdaptationSettings()
NOTHING = np.zeros((FRAMES, 0))


def known_outside(hidden: slice) -> np.ndarray:
    mask = np.ones(FRAMES, bool)
    mask[hidden] = False
    return mask


@pytest.mark.parametrize("late", [-3, 0, 2, 5, 7])
def test_the_offset_is_found(late: int) -> None:
    rng = np.random.default_rng(4)
    truth, mask = smooth(rng, (FRAMES, 3)), known_outside(slice(70, 110))
    ruled = np.roll(truth, late, axis=0)
    shown = np.where(mask[:, None], truth, 99.0)  # what stands in hidden frames counts for nothing
    found = find_offset(ruled, NOTHING, NOTHING, shown, mask, SETTINGS)
    assert found.likeliest == late
    assert found.weights.sum() == pytest.approx(1)
    assert np.corrcoef(found.at_video(ruled)[10:-10, 0], truth[10:-10, 0])[0, 1] > 0.95


def test_loudness_determines_the_offset_too() -> None:
    rng = np.random.default_rng(6)
    loud = smooth(rng, (FRAMES, 1))
    shown, ruled = 3 * loud @ rng.standard_normal((1, 3)), 0.1 * smooth(rng, (FRAMES, 3))
    mask = known_outside(slice(70, 110))
    found = find_offset(ruled, np.roll(loud, 3, axis=0), NOTHING, shown, mask, SETTINGS)
    assert found.likeliest == 3


def test_columns_of_the_video_are_not_moved() -> None:
    """If they were, an offset would lose what head rotation explains."""
    rng = np.random.default_rng(7)
    turn, ruled, mask = 4 * smooth(rng, (FRAMES, 1)), smooth(rng, (FRAMES, 3)), known_outside(slice(70, 110))
    shown, any_will_do = 0.6 * moved(ruled, 4) + turn @ rng.standard_normal((1, 3)), AdaptationSettings(offset_sd=10)
    assert find_offset(ruled, NOTHING, turn, shown, mask, any_will_do).likeliest == 4
    with_sound = find_offset(ruled, turn, NOTHING, shown, mask, any_will_do)  # as if it came of the sound
    assert abs(with_sound.likeliest) <= 1


@pytest.mark.parametrize(
    ("hidden", "still", "most"), [(slice(0, 150), False, 8), (slice(0, 0), True, 8), (slice(0, 0), False, 0)]
)
def test_no_offset_without_information(hidden: slice, still: bool, most: int) -> None:
    """Too few visible frames, no speech, or a largest offset of 0."""
    rng = np.random.default_rng(5)
    truth = smooth(rng, (FRAMES, 3))
    ruled = np.zeros_like(truth) if still else np.roll(truth, 4, axis=0)
    found = find_offset(ruled, NOTHING, NOTHING, truth, known_outside(hidden), AdaptationSettings(max_offset=most))
    assert found is NO_OFFSET
    np.testing.assert_array_equal(found.at_video(truth), truth)


def test_noise_leaves_the_prior_of_the_offset() -> None:
    rng = np.random.default_rng(8)
    few = known_outside(slice(30, FRAMES))
    doubts = []
    for _ in range(20):
        ruled, shown = smooth(rng, (FRAMES, 1)), smooth(rng, (FRAMES, 1))
        found = find_offset(ruled, NOTHING, NOTHING, shown, few, SETTINGS)
        doubts.append((abs(found.likeliest), found.weights.max()))
    assert np.mean([far for far, _ in doubts]) < 3
    assert np.mean([sure for _, sure in doubts]) < 0.6


def test_audio_at_the_video_is_the_mean_over_offsets() -> None:
    offset = Offset(np.array([-1, 0, 2]), np.array([0.25, 0.0, 0.75]))
    assert offset.likeliest == 2
    found = offset.at_video(np.arange(6.0)[:, None]).ravel()
    assert found.tolist() == [1.5, 2.25, 3.25, 4.25, 4.5, 4.75]
    assert moved(np.arange(6.0)[:, None], 2).ravel().tolist() == [2, 3, 4, 5, 5, 5]


@pytest.mark.parametrize(
    ("weights", "reported"),
    [
        ([0.45, 0.25, 0.1, 0.2, 0.0], 0),  # as likely late as early
        ([0.0, 0.0, 0.3, 0.4, 0.3], 0),  # perhaps in step
        ([0.0, 0.05, 0.0, 0.6, 0.35], 2),
        ([0.8, 0.15, 0.05, 0.0, 0.0], -3),
    ],
)
def test_an_offset_is_reported_if_its_sign_is_nearly_certain(weights: list[float], reported: int) -> None:
    assert Offset(np.array([-3, -1, 0, 2, 4]), np.array(weights)).reported == reported


def test_without_evidence_the_prior_remains() -> None:
    rng = np.random.default_rng(9)
    shown = np.zeros((FRAMES, 1))
    ruled = np.zeros((FRAMES, 1))
    ruled[5:8] = smooth(rng, (3, 1))  # said where nothing is visible
    mask = np.zeros(FRAMES, bool)
    mask[60:100] = True
    ruled[99] = 1e-9
    found = find_offset(ruled, NOTHING, NOTHING, shown, mask, SETTINGS)
    usual = np.exp(-0.5 * ((found.frames - SETTINGS.offset) / SETTINGS.offset_sd) ** 2)
    usual[usual < 0.01 * usual.max()] = 0
    np.testing.assert_allclose(found.weights, usual / usual.sum(), atol=1e-6)


def test_the_likelihood_has_half_its_weight() -> None:
    """The weights follow from half of the log-likelihood."""
    rng = np.random.default_rng(10)
    one, shown = smooth(rng, (40, 1)), smooth(rng, (40, 1))
    mask = np.ones(40, bool)
    flat = AdaptationSettings(offset_sd=1e6)
    found = find_offset(one, NOTHING, NOTHING, shown, mask, flat)
    kernel = Process(one, NOTHING[:40], flat).kernel(np.subtract.outer(np.arange(40), np.arange(40)))
    score = [
        Process(moved(one - one.mean(), lag), NOTHING[:40], flat).likelihood(np.arange(40), shown, kernel)
        for lag in found.frames
    ]
    expected = np.exp(0.5 * (np.array(score) - max(score)))
    expected[expected < 0.01] = 0
    np.testing.assert_allclose(found.weights, expected / expected.sum(), rtol=1e-6)


def test_a_long_clip_uses_frames_with_speech() -> None:
    rng = np.random.default_rng(11)
    ruled = np.zeros((1500, 3))
    ruled[700:1400] = smooth(rng, (700, 3))
    seen = moved(ruled, 5)
    nothing = np.zeros((1500, 0))
    assert find_offset(ruled, nothing, nothing, seen, np.ones(1500, bool), SETTINGS).likeliest == 5
    quiet = np.zeros(1500, bool)
    quiet[:600] = True
    assert find_offset(ruled, nothing, nothing, seen, quiet, SETTINGS) is NO_OFFSET
