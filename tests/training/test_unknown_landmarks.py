"""Landmarks that a detector does not provide (NaN) count as occluded in training."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from occlufacediff.training.denoiser import input_statistics


def test_statistics_leave_unknown_landmarks_out():
    rng = np.random.default_rng(0)
    points = rng.normal(size=(40, 468, 2)).astype(np.float32)
    holed = points.copy()
    holed[:, 5] = np.nan
    holed[::2, 7] = np.nan
    clip = SimpleNamespace(lmk_2d=holed, log_mel=None, lmk_visible=None)
    known = input_statistics([clip])  # type: ignore[arg-type]
    assert np.isfinite(known["face"].numpy()).all()
    np.testing.assert_allclose(known["face"][5], 0)
    np.testing.assert_allclose(known["face"][7], points[1::2, 7].mean(0), atol=1e-6)
    np.testing.assert_allclose(known["face"][8], points[:, 8].mean(0), atol=1e-6)
    assert 0.9 < float(known["spread"]) < 1.1
