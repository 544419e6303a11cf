"""Random landmark masks of training windows, one draw a sample."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.occlusion.regions import (
    EYE_CENTRES,
    LEFT_EYE,
    LIPS,
    MOUTH_CENTRE,
    RIGHT_EYE,
    any_point,
    box_around,
    mouth_box,
)

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


def _inside(points: Float, box: Float) -> Bool:
    """Which points (T, N, 2) lie in their frame's box (T, 4)."""
    return ((points >= box[:, None, :2]) & (points <= box[:, None, 2:])).all(axis=-1)


def _around(points: Float, centre: Float, rng: np.random.Generator, settings: MaskSettings) -> Bool:
    """Which points lie in a box of random extents around a centre (T, 2)."""
    half = rng.uniform(settings.half_min, settings.half_max, 2).astype(np.float32)
    return _inside(points, np.concatenate([centre - half, centre + half], axis=1))


def _centre(points: Float, point: int, ring: tuple[int, ...]) -> Float:
    """A point (T, 2), or the middle of the known points of its ring where the detector does not give it."""
    centre = points[:, point]
    return centre if np.isfinite(centre).all() else np.nanmean(points[:, ring], axis=1)


def _regions(points: Float, rng: np.random.Generator, settings: MaskSettings) -> Bool:
    """Hidden points (T, N) over a span: each region with its odds, stopping after all, left, right or eyes."""
    hidden = np.zeros(points.shape[:2], bool)
    if rng.random() < settings.all:
        return ~hidden
    if rng.random() < settings.eyes:
        for index, ring in zip(EYE_CENTRES, (LEFT_EYE, RIGHT_EYE), strict=True):
            hidden |= _around(points, _centre(points, index, ring), rng, settings)
        return hidden
    if rng.random() < settings.left:
        return points[..., 0] < 0
    if rng.random() < settings.right:
        return points[..., 0] > 0
    if rng.random() < settings.mouth:
        if rng.random() < settings.mouth_with_chin:
            top, margin = rng.uniform(0.2, 0.75), rng.uniform(0.0, 0.3)
            hidden |= _inside(points, mouth_box(points, top=top, margin=margin, with_chin=True))
        else:
            hidden |= _around(points, points[:, MOUTH_CENTRE].mean(axis=1), rng, settings)
    if rng.random() < settings.random:
        hidden |= _around(points, any_point(points, rng), rng, settings)
    if rng.random() < settings.contour:
        scale = rng.uniform(settings.contour_min, settings.contour_max)
        hidden |= ~_inside(points, box_around(points[:, (*LIPS, *LEFT_EYE, *RIGHT_EYE)], scale))
    return hidden


def training_mask(lmk_2d: Float, rng: np.random.Generator, settings: MaskSettings) -> Float:
    """Draw which landmarks of a window a training sample may see.

    Args:
        lmk_2d: (T, 468, 2) landmarks in crop coordinates; points that the detector never gives are NaN in all frames,
            and regions go by the others. Of each region some must be known.
        rng: the sample's own generator.
        settings: odds and sizes.

    Returns:
        (T, 468) float32, 1 visible, 0 hidden.
    """
    count = len(lmk_2d)
    draw = rng.random()
    if draw < settings.whole:
        return np.zeros(lmk_2d.shape[:2], np.float32)
    draw -= settings.whole
    visible = np.ones(lmk_2d.shape[:2], np.float32)
    if draw < settings.half_frames:
        visible[rng.permutation(count)[: count // 2]] = 0
        return visible
    if draw - settings.half_frames < settings.nothing:
        return visible
    least = min(settings.min_frames, count)
    length = count if rng.random() < settings.span_is_window else int(rng.integers(least, count + 1))
    start = int(rng.integers(0, count - length + 1))
    span = slice(start, start + length)
    visible[span][_regions(lmk_2d, rng, settings)[span]] = 0
    return visible
