"""Baselines without a network."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from occlufacediff.evaluation.baselines import interpolate, neutral
from occlufacediff.evaluation.metrics import unit_of


@given(frames=st.integers(2, 80), start=st.integers(0, 79), length=st.integers(0, 80), seed=st.integers(0, 99))
def test_interpolation_keeps_what_is_seen_and_bridges_the_rest(frames: int, start: int, length: int, seed: int) -> None:
    motion = np.random.default_rng(seed).standard_normal((frames, 5)).astype(np.float32)
    hidden = np.zeros(frames, bool)
    hidden[start : start + length] = True
    got = interpolate(motion, hidden)
    np.testing.assert_allclose(got[~hidden], motion[~hidden], rtol=1e-6)
    if hidden.all():
        assert not got.any()
    elif hidden.any():
        seen = motion[~hidden]
        assert (got[hidden] >= seen.min(0) - 1e-5).all()
        assert (got[hidden] <= seen.max(0) + 1e-5).all()


def test_a_straight_line_is_found_again() -> None:
    motion = np.linspace(0, 1, 50, dtype=np.float32)[:, None] * np.array([1, 2, 3], np.float32)
    hidden = np.zeros(50, bool)
    hidden[10:40] = True
    np.testing.assert_allclose(interpolate(motion, hidden), motion, atol=1e-6)
    hidden[:10] = True
    assert (interpolate(motion, hidden)[:40] == motion[40]).all()


def test_the_neutral_face_is_zero() -> None:
    assert not neutral(np.ones((3, 4), np.float32)).any()


def test_every_metric_has_a_unit() -> None:
    names = ["lve", "lve_hidden", "mvpe_nose", "mvpe_lips_hidden", "mouth_closure_hidden", "lmk_2d_error_hidden"]
    assert [unit_of(name) for name in names] == ["mm", "mm", "mm", "mm", "crop/2", "crop/2"]
