"""Landmarks beside an occluder are not used: the margin, and the frames around an occlusion."""

from __future__ import annotations

import numpy as np

from occlufacediff.visibility.finder import join
from occlufacediff.visibility.margin import EYE_MARGIN, MARGIN, within_margin
from occlufacediff.visibility.regions import REGIONS

MOUTH_AND_CHIN = list(REGIONS["mouth"] + REGIONS["chin_cheeks"])
NOSE_TIP, EYE = 4, 33


def scattered(*near: int) -> np.ndarray:
    """Landmarks (468, 2) that are far from each other; those of ``near`` are 0.12 from the tip of the nose."""
    points = np.stack(np.meshgrid(np.arange(26), np.arange(18)), axis=-1).reshape(468, 2) * 1.0
    points[list(near)] = points[NOSE_TIP] + np.array([0.12, 0])
    return points


def test_neighbours_in_the_picture_are_left_out() -> None:
    hidden = np.zeros((3, 468), bool)
    hidden[1, NOSE_TIP] = hidden[2, :] = True
    points = np.stack([scattered(100, EYE)] * 3)
    out = within_margin(hidden, points)
    assert EYE_MARGIN < 0.12 < MARGIN
    assert not out[0].any() and out[2].all()
    # The margin of the eyes is narrower: a face mask ends below them.
    np.testing.assert_array_equal(np.flatnonzero(out[1]), [NOSE_TIP, 100])
    assert not hidden[1, 100], "the argument is not changed"


def test_points_that_are_not_known_have_no_margin() -> None:
    points = scattered(100)[None]
    points[0, [NOSE_TIP, 7]] = np.nan
    hidden = np.zeros((1, 468), bool)
    hidden[0, NOSE_TIP] = True
    np.testing.assert_array_equal(within_margin(hidden, points), hidden)


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
