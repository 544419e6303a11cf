"""Expression coefficients within [0, 1], for programs that clamp morph weights to this range."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear

from occlufacediff.head.arkit import EXPRESSION_NAMES
from occlufacediff.head.asset import HeadAsset

Float = NDArray[np.float32]

#: Weight of distances at the lips, relative to those elsewhere.
LIP_WEIGHT = 2.0


@dataclass(frozen=True, eq=False)
class Refit:
    """Coefficients in [0, 1], and the distance of the surface from that of the given ones.

    Attributes:
        exp: (T, E) coefficients.
        mean_mm: mean distance over frames and vertices that the expression moves, millimetres.
        lips_mm: mean distance over frames and vertices of the lips; NaN without a region ``lips``.
        largest_mm: largest distance of any vertex in any frame.
    """

    exp: Float
    mean_mm: float
    lips_mm: float
    largest_mm: float


def has_actions(head: HeadAsset) -> bool:
    """Whether all expression coefficients are ARKit actions, whose range is 0 to 1."""
    return set(head.expression_names) <= set(EXPRESSION_NAMES)


def refit(head: HeadAsset, exp: NDArray[np.floating]) -> Refit:
    """Coefficients in [0, 1] whose surface is nearest to that of ``exp``, frame by frame.

    Minimises ``|S D (w - exp)|^2`` over ``0 <= w <= 1`` with the expression basis D (3 V, E); S is `LIP_WEIGHT` at the
    lips and 1 elsewhere. The problem is convex and its solution a continuous function of ``exp``, so a smooth motion
    stays continuous.

    Args:
        head: the head model.
        exp: (T, E) expression.
    """
    given = np.asarray(exp, dtype=np.float64)
    fitted = np.clip(given, 0.0, 1.0)
    scale = np.ones(head.n_vertices)
    scale[head.regions.get("lips", np.empty(0, dtype=np.int64))] = LIP_WEIGHT
    # |S D x| = |R x| with the triangular factor R (E, E).
    factor = np.linalg.qr((head.expdirs * scale[:, None, None]).reshape(-1, head.n_exp).astype(np.float64), mode="r")
    for frame in np.flatnonzero((given != fitted).any(axis=1)):
        fitted[frame] = lsq_linear(factor, factor @ given[frame], (0, 1), method="bvls").x
    return _measured(head, given, np.clip(fitted, 0.0, 1.0))


def _measured(head: HeadAsset, given: NDArray[np.float64], fitted: NDArray[np.float64]) -> Refit:
    """The distances between the two surfaces, before jaw and head rotate."""
    moved = np.flatnonzero((head.expdirs != 0).any(axis=(1, 2)))
    lips = np.isin(moved, head.regions.get("lips", np.empty(0, dtype=np.int64)))
    total, on_lips, largest = 0.0, 0.0, 0.0
    for before, after in zip(given, fitted, strict=True):
        distance = 1000 * np.linalg.norm(head.expdirs[moved] @ (after - before), axis=1)
        total += float(distance.mean()) if len(moved) else 0.0
        on_lips += float(distance[lips].mean()) if lips.any() else np.nan
        largest = max(largest, float(distance.max(initial=0.0)))
    frames = max(1, len(given))
    return Refit(fitted.astype(np.float32), total / frames, on_lips / frames, largest)
