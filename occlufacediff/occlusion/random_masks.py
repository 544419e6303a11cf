"""Random landmark masks for training windows, drawn once per sample."""

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
    box_around,
    mouth_box,
    random_landmark,
)

Float = NDArray[np.float32]
Bool = NDArray[np.bool_]


def _inside(points: Float, box: Float) -> Bool:
    """Whether the points (T, N, 2) lie in the box (T, 4) of their frame."""
    x, y = points[..., 0], points[..., 1]
    left, top, right, bottom = box.T[..., None]
    inside: Bool = (x >= left) & (x <= right) & (y >= top) & (y <= bottom)
    return inside


def _around(points: Float, centre: Float, rng: np.random.Generator, settings: MaskSettings) -> Bool:
    """Whether the points lie in a box of random size around a centre (T, 2)."""
    half = rng.uniform(settings.half_min, settings.half_max, 2).astype(np.float32)
    return _inside(points, np.concatenate([centre - half, centre + half], axis=1))


def _centre(points: Float, point: int, ring: tuple[int, ...]) -> Float:
    """A point (T, 2), or the mean of the points of its ring if the detector does not provide it."""
    centre = points[:, point]
    return centre if np.isfinite(centre).all() else np.nanmean(points[:, ring], axis=1)


def occluded_regions(points: Float, rng: np.random.Generator, settings: MaskSettings) -> Bool:
    """Draw the occluded points (T, N) of a span: each region by its odds; all, left, right and eyes end the draw."""
    occluded = np.zeros(points.shape[:2], bool)
    if rng.random() < settings.all:
        return ~occluded
    if rng.random() < settings.eyes:
        for index, ring in zip(EYE_CENTRES, (LEFT_EYE, RIGHT_EYE), strict=True):
            occluded |= _around(points, _centre(points, index, ring), rng, settings)
        return occluded
    if rng.random() < settings.left:
        return points[..., 0] < 0
    if rng.random() < settings.right:
        return points[..., 0] > 0
    if rng.random() < settings.mouth:
        if rng.random() < settings.mouth_with_chin:
            top, margin = rng.uniform(0.2, 0.75), rng.uniform(0.0, 0.3)
            occluded |= _inside(points, mouth_box(points, top=top, margin=margin, with_chin=True))
        else:
            occluded |= _around(points, points[:, MOUTH_CENTRE].mean(axis=1), rng, settings)
    if rng.random() < settings.random:
        occluded |= _around(points, random_landmark(points, rng), rng, settings)
    if rng.random() < settings.contour:
        scale = rng.uniform(settings.contour_min, settings.contour_max)
        occluded |= ~_inside(points, box_around(points[:, (*LIPS, *LEFT_EYE, *RIGHT_EYE)], scale))
    return occluded


def training_mask(lmk_2d: Float, rng: np.random.Generator, settings: MaskSettings) -> Float:
    """Draw the visible landmarks of a training window.

    Args:
        lmk_2d: (T, 468, 2) landmarks in crop coordinates. Points that the detector does not provide are NaN in all
            frames; regions are computed from the others. Each region needs at least one point.
        rng: generator of this sample.
        settings: odds and sizes.

    Returns:
        (T, 468) float32, 1 visible, 0 occluded.
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
    shortest = min(settings.min_frames, count)
    length = count if rng.random() < settings.span_is_window else int(rng.integers(shortest, count + 1))
    start = int(rng.integers(0, count - length + 1))
    span = slice(start, start + length)
    visible[span][occluded_regions(lmk_2d, rng, settings)[span]] = 0
    return visible
