"""Phones by rules: lips close for what closes them, and rest in silence."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.speech import phones, rules
from occlufacediff.speech.phones import PHONES, Phones, phone_features
from occlufacediff.speech.rules import rules_motion
from occlufacediff.speech.viseme_curves import JAW_FULL
from occlufacediff.synthetic.clip import EXPRESSION_NAMES


def heard(*names: str, length: float = 0.16) -> Phones:
    starts = length * np.arange(len(names))
    return Phones(names, starts, starts + length)


def opening(motion: np.ndarray) -> np.ndarray:
    """The jaw's angle less what closed lips make good, (T,)."""
    return motion[:, -3] - JAW_FULL * motion[:, EXPRESSION_NAMES.index("mouthClose")]


def test_lips_close_and_open_in_time() -> None:
    motion = rules_motion(heard("SIL", "AA", "M", "AA", "SIL"), 20, EXPRESSION_NAMES)
    assert motion.shape == (20, len(EXPRESSION_NAMES) + 3)
    assert motion.dtype == np.float32
    open_now = opening(motion)
    assert open_now[6] > 0.15
    assert open_now[10] < 0.02
    assert open_now[14] > 0.15
    assert abs(open_now[0]) < 0.03
    assert (motion[:, EXPRESSION_NAMES.index("browDownLeft")] == 0).all()


@pytest.mark.parametrize("name", PHONES)
def test_every_phone_moves_within_bounds(name: str) -> None:
    motion = rules_motion(heard("SIL", name, "SIL"), 12, EXPRESSION_NAMES)
    assert (motion[:, :-3] >= 0).all()
    assert (motion[:, :-3] <= 1).all()
    assert (np.abs(motion[:, -3:]) < 0.4).all()


def test_late_sound_moves_and_strength_scales() -> None:
    phones = heard("SIL", "SIL", "AA", "SIL", "SIL")
    motion = rules_motion(phones, 20, EXPRESSION_NAMES)
    early = rules_motion(phones, 20, EXPRESSION_NAMES, offset_s=3 / 25)
    np.testing.assert_allclose(early[:-3], motion[3:], atol=1e-6)
    half = rules_motion(phones, 20, EXPRESSION_NAMES, strength=np.full(20, 0.5))
    np.testing.assert_allclose(half, 0.5 * motion, atol=1e-6)


def test_a_head_without_these_actions_moves_its_jaw() -> None:
    motion = rules_motion(heard("SIL", "AA", "SIL"), 12, ("exp_000", "exp_001"))
    assert (motion[:, :2] == 0).all()
    assert motion[6, 2] > 0.1


def test_nothing_heard_moves_little() -> None:
    for said in (heard("SIL"), heard()):
        assert np.abs(rules_motion(said, 8, EXPRESSION_NAMES)).max() < 1e-3


def test_long_speech_is_moved_in_pieces_without_seams(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    edges = np.append(0.0, np.cumsum(rng.uniform(0.03, 0.3, 300)))
    said = Phones(tuple(rng.choice(PHONES, 300)), edges[:-1], edges[1:])
    frames = int(25 * edges[-1])
    motion, shares = rules_motion(said, frames, EXPRESSION_NAMES, offset_s=0.1), phone_features(said, 4 * frames, 100)
    assert frames > 2 * rules._BLOCK
    assert 4 * frames > 4 * phones._BLOCK
    monkeypatch.setattr(rules, "_BLOCK", 10**6)
    monkeypatch.setattr(phones, "_BLOCK", 10**6)
    np.testing.assert_allclose(motion, rules_motion(said, frames, EXPRESSION_NAMES, offset_s=0.1), atol=2e-6)
    np.testing.assert_array_equal(shares, phone_features(said, 4 * frames, 100))
