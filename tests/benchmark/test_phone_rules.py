"""The rules' motion, fitted to visible frames: its offset, gain and resting face."""

from __future__ import annotations

import numpy as np
import pytest
from small_head import small_head

from occlufacediff.evaluation.phone_rules import PRIOR_GAIN, phone_rules_motion
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.speech.phones import PHONES, Phones
from occlufacediff.speech.viseme_rules import viseme_motion

FRAMES = 150
BASIS = LandmarkBasis.of(small_head())
SHAPE = np.zeros(BASIS.n_shape, np.float32)
MEL = np.zeros((4 * FRAMES, 80), np.float32)


def talk(seed: int = 0) -> Phones:
    rng = np.random.default_rng(seed)
    names = tuple(PHONES[one] for one in rng.integers(0, 39, 60))
    starts = 0.1 * np.arange(60)
    return Phones(names, starts, starts + 0.1)


def covered(first: int, stop: int) -> np.ndarray:
    frames = np.arange(FRAMES)
    return (frames >= first) & (frames < stop)


@pytest.mark.parametrize(("late", "gain"), [(0, 1.3), (3, 0.5)])
def test_offset_gain_and_rest_come_from_visible_frames(late: int, gain: float) -> None:
    ruled = viseme_motion(talk(), FRAMES, BASIS.expression_names, offset_s=late / 25)
    true = gain * ruled
    true[:, 0] += 0.2
    hidden = covered(50, 100)
    seen = np.where(hidden[:, None], np.float32(7.0), true)
    found = phone_rules_motion(talk(), MEL, seen, hidden, BASIS, SHAPE, most_offset=8)
    jaw, jaw_true = found[hidden, -3], true[hidden, -3]
    assert np.corrcoef(jaw, jaw_true)[0, 1] > 0.99
    # Half of the frames are visible, the prior counts as 50 of them.
    assert jaw.std() / jaw_true.std() == pytest.approx((gain * 100 + PRIOR_GAIN * 50) / 150 / gain, rel=0.1)
    np.testing.assert_allclose(found[:, 0], true[:, 0], atol=1e-5)


def test_nothing_visible_takes_the_prior() -> None:
    hidden = np.ones(FRAMES, dtype=bool)
    seen = np.zeros((FRAMES, BASIS.n_exp + 3), np.float32)
    found = phone_rules_motion(talk(), MEL, seen, hidden, BASIS, SHAPE, most_offset=8)
    ruled = viseme_motion(talk(), FRAMES, BASIS.expression_names)
    np.testing.assert_allclose(found, PRIOR_GAIN * ruled, atol=1e-5)


def test_louder_speech_moves_more() -> None:
    loud = MEL.copy()
    loud[: 2 * FRAMES] = -3
    hidden = np.ones(FRAMES, dtype=bool)
    seen = np.zeros((FRAMES, BASIS.n_exp + 3), np.float32)
    found = phone_rules_motion(talk(), loud, seen, hidden, BASIS, SHAPE, most_offset=8)
    even = phone_rules_motion(talk(), MEL, seen, hidden, BASIS, SHAPE, most_offset=8)
    assert found[:60, -3].max() < 0.4 * even[:60, -3].max()
    np.testing.assert_allclose(found[100:], even[100:], atol=1e-6)


def test_silence_stays_at_the_visible_mean() -> None:
    silence = Phones(("SIL",), np.zeros(1), np.full(1, 6.0))
    rng = np.random.default_rng(0)
    seen = rng.normal(0.2, 0.1, (FRAMES, BASIS.n_exp + 3)).astype(np.float32)
    hidden = covered(50, 100)
    found = phone_rules_motion(silence, MEL, seen, hidden, BASIS, SHAPE, most_offset=8)
    np.testing.assert_allclose(found[hidden], np.tile(seen[~hidden].mean(axis=0), (50, 1)), atol=1e-3)
