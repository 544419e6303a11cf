"""Factors on the spread by the lip opening."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from small_head import small_head

from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.head.lip_opening import has_opening, opening
from occlufacediff.prediction.spread import opening_factors

FRAMES = 60


def basis_whose_lips_part() -> LandmarkBasis:
    """Lips with an opening of 2 mm at rest, and of 12 mm with the first expression at 1."""
    basis = LandmarkBasis.of(small_head())
    top, bottom = basis.place[INNER_LIP_TOP], basis.place[INNER_LIP_BOTTOM]
    base, exp = basis.points.base.copy(), basis.points.exp.copy()
    base[top] = base[bottom] + np.array([0.0, 0.002, 0.0])
    exp[top] = exp[bottom]
    exp[top, 1, 0] += 0.010
    return replace(basis, points=replace(basis.points, base=base, exp=exp))


BASIS = basis_whose_lips_part()


def motion_of(parted: float) -> np.ndarray:
    """Lips that open slowly in the middle of a clip and stay open."""
    motion = np.zeros((FRAMES, BASIS.n_exp + 3), np.float32)
    motion[:, 0] = np.interp(np.arange(FRAMES), [30, 40], [0, parted])
    return motion


def test_the_factor_grows_with_the_opening() -> None:
    shape, motion = np.zeros(BASIS.n_shape, np.float32), motion_of(1.0)
    gap = opening(BASIS, shape, motion)
    factors = opening_factors(BASIS, shape, motion, 0.5)
    assert gap[50] > gap[10] + 0.009
    # Where the mouth stays as it is, by the formula; between, no jump.
    still = np.r_[:20, 50:60]
    np.testing.assert_allclose(factors[still], np.sqrt((np.maximum(gap[still], 0) + 0.003) / 0.010), rtol=1e-3)
    assert np.abs(np.diff(factors)).max() < 0.2
    np.testing.assert_array_equal(opening_factors(BASIS, shape, motion, 0.0), 1.0)


def test_the_factor_of_closed_lips() -> None:
    shape = np.zeros(BASIS.n_shape, np.float32)
    motion = motion_of(-1.0)  # lips pressed through each other
    assert opening(BASIS, shape, motion)[50] < 0
    assert opening_factors(BASIS, shape, motion, 0.5)[50] == pytest.approx(np.sqrt(0.3))


def test_a_head_without_inner_lip_landmarks_has_factors_of_1() -> None:
    indices = BASIS.indices.copy()
    indices[BASIS.place[INNER_LIP_TOP]] = indices[0]
    without = replace(BASIS, indices=indices)
    assert has_opening(BASIS) and not has_opening(without)
    shape, motion = np.zeros(BASIS.n_shape, np.float32), motion_of(1.0)
    np.testing.assert_array_equal(opening_factors(without, shape, motion, 0.5), 1.0)
    with pytest.raises(ValueError, match="inner lips"):
        opening(without, shape, motion)
