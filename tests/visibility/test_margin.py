"""Landmarks beside an occluder are not used: the margin, and the frames around an occlusion."""

from __future__ import annotations

import numpy as np

from occlufacediff.visibility.finder import join
from occlufacediff.visibility.margin import MARGIN, within_margin
from occlufacediff.visibility.regions import REGIONS

LINE = np.stack([np.linspace(-0.9, 0.9, 10), np.zeros(10)], axis=1)  # 0.2 apart
MOUTH_AND_CHIN = list(REGIONS["mouth"] + REGIONS["chin_cheeks"])


def test_neighbours_in_the_picture_are_left_out() -> None:
    hidden = np.zeros((3, 10), bool)
    hidden[1, 4] = hidden[2, :] = True
    out = within_margin(hidden, np.stack([LINE] * 3), margin=0.3)
    assert not out[0].any() and out[2].all()
    np.testing.assert_array_equal(np.flatnonzero(out[1]), [3, 4, 5])
    assert not hidden[1, 3], "the argument is not changed"
    np.testing.assert_array_equal(within_margin(hidden, np.stack([LINE] * 3)), hidden)
    assert MARGIN < 0.2


def test_points_that_are_not_known_have_no_margin() -> None:
    points = np.stack([LINE])
    points[0, [4, 7]] = np.nan
    hidden = np.zeros((1, 10), bool)
    hidden[0, 4] = True
    np.testing.assert_array_equal(within_margin(hidden, points, margin=0.3), hidden)


def test_frames_beside_an_occlusion_are_uncertain() -> None:
    evidence = {frame: np.full(468, 0.97, np.float32) for frame in range(0, 120, 2)}
    for frame in range(10, 41, 2):
        evidence[frame][MOUTH_AND_CHIN] = 0.1 if 16 <= frame <= 34 else 0.8
    # Elsewhere, doubts alone hide nothing.
    for frame in range(48, 58, 2):
        evidence[frame][MOUTH_AND_CHIN] = 0.8
    found = join(evidence, 120)
    mouth = found.uncertain[:, REGIONS["mouth"]].mean(axis=1) > 0.5
    assert mouth[10:40].all() and not mouth[:9].any() and not mouth[42:].any()
    assert (found.hidden <= found.uncertain).all()
    assert not found.hidden[12, REGIONS["mouth"]].any()
