"""Viseme rules: lips close for bilabial phones and rest in silence."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.speech import phones, viseme_rules
from occlufacediff.speech.coarticulation import JAW_FULL
from occlufacediff.speech.phones import PHONES, Phones, phone_features
from occlufacediff.speech.viseme_rules import viseme_motion
from occlufacediff.synthetic.clip import EXPRESSION_NAMES


def phones_of(*names: str, length: float = 0.16) -> Phones:
    starts = length * np.arange(len(names))
    return Phones(names, starts, starts + length)


def opening(motion: np.ndarray) -> np.ndarray:
    """Jaw angle minus the part that closed lips compensate (T,)."""
    return motion[:, -3] - JAW_FULL * motion[:, EXPRESSION_NAMES.index("mouthClose")]


def test_lips_close_and_open_at_the_right_frames() -> None:
    motion = viseme_motion(phones_of("SIL", "AA", "M", "AA", "SIL"), 20, EXPRESSION_NAMES)
    assert motion.shape == (20, len(EXPRESSION_NAMES) + 3)
    assert motion.dtype == np.float32
    open_now = opening(motion)
    assert open_now[6] > 0.15
    assert open_now[10] < 0.02
    assert open_now[14] > 0.15
    assert abs(open_now[0]) < 0.03
    assert (motion[:, EXPRESSION_NAMES.index("browDownLeft")] == 0).all()


@pytest.mark.parametrize("name", PHONES)
def test_the_motion_of_each_phone_is_within_bounds(name: str) -> None:
    motion = viseme_motion(phones_of("SIL", name, "SIL"), 12, EXPRESSION_NAMES)
    assert (motion[:, :-3] >= 0).all()
    assert (motion[:, :-3] <= 1).all()
    assert (np.abs(motion[:, -3:]) < 0.4).all()


def test_audio_offset_shifts_and_strength_scales_the_motion() -> None:
    utterance = phones_of("SIL", "SIL", "AA", "SIL", "SIL")
    motion = viseme_motion(utterance, 20, EXPRESSION_NAMES)
    early = viseme_motion(utterance, 20, EXPRESSION_NAMES, offset_s=3 / 25)
    np.testing.assert_allclose(early[:-3], motion[3:], atol=1e-6)
    half = viseme_motion(utterance, 20, EXPRESSION_NAMES, strength=np.full(20, 0.5))
    np.testing.assert_allclose(half, 0.5 * motion, atol=1e-6)


def test_a_head_without_speech_actions_moves_only_its_jaw() -> None:
    motion = viseme_motion(phones_of("SIL", "AA", "SIL"), 12, ("exp_000", "exp_001"))
    assert (motion[:, :2] == 0).all()
    assert motion[6, 2] > 0.1


def test_silence_causes_hardly_any_motion() -> None:
    for utterance in (phones_of("SIL"), phones_of()):
        assert np.abs(viseme_motion(utterance, 8, EXPRESSION_NAMES)).max() < 1e-3


def test_blocks_of_long_audio_join_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    edges = np.append(0.0, np.cumsum(rng.uniform(0.03, 0.3, 300)))
    utterance = Phones(tuple(rng.choice(PHONES, 300)), edges[:-1], edges[1:])
    frames = int(25 * edges[-1])
    motion, shares = (
        viseme_motion(utterance, frames, EXPRESSION_NAMES, offset_s=0.1),
        phone_features(utterance, 4 * frames, 100),
    )
    assert frames > 2 * viseme_rules._BLOCK
    assert 4 * frames > 4 * phones._BLOCK
    monkeypatch.setattr(viseme_rules, "_BLOCK", 10**6)
    monkeypatch.setattr(phones, "_BLOCK", 10**6)
    np.testing.assert_allclose(motion, viseme_motion(utterance, frames, EXPRESSION_NAMES, offset_s=0.1), atol=2e-6)
    np.testing.assert_array_equal(shares, phone_features(utterance, 4 * frames, 100))
