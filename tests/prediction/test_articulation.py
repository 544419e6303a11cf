"""Articulation columns of a motion."""

import numpy as np

from occlufacediff.prediction.articulation_features import articulation_columns

NAMES = ("browInnerUp", "mouthPucker", "mouthFunnel", "mouthSmileLeft")
SPREAD = np.array([1.0, 0.1, 0.1, 0.2, 0.05, 1.0, 1.0])


def test_similar_actions_form_one_centred_column() -> None:
    rng = np.random.default_rng(0)
    motion = rng.standard_normal((50, 7)) * SPREAD
    found = articulation_columns(motion, NAMES, SPREAD)
    assert found.shape == (50, 9)  # jaw, rounding, spreading; before, at and after
    now = found[:, 3:6]
    np.testing.assert_allclose(now.mean(axis=0), 0, atol=1e-12)
    np.testing.assert_allclose(now.std(axis=0), 1, rtol=1e-12)
    np.testing.assert_allclose(np.corrcoef(now[:, 0], motion[:, 4])[0, 1], 1, rtol=1e-12)
    np.testing.assert_allclose(np.corrcoef(now[:, 1], motion[:, 1] + motion[:, 2])[0, 1], 1, rtol=1e-12)
    np.testing.assert_array_equal(found[2:, :3], now[:-2])
    np.testing.assert_array_equal(found[:-2, 6:], now[2:])


def test_small_movements_are_not_amplified() -> None:
    motion = np.zeros((50, 7))
    motion[:, 1] = 1e-6 * np.sin(np.arange(50))
    assert np.abs(articulation_columns(motion, NAMES, SPREAD)).max() < 1e-3


def test_without_named_actions_only_the_jaw_is_used() -> None:
    motion = np.random.default_rng(1).standard_normal((50, 7))
    assert articulation_columns(motion, ("exp_0", "exp_1", "exp_2", "exp_3"), SPREAD).shape == (50, 3)
