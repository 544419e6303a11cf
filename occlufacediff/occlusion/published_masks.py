"""Random landmark masks of training windows as in the published training."""

from __future__ import annotations

import numpy as np

from occlufacediff.config.occlusion import MaskSettings
from occlufacediff.config.published_recipe import PublishedMaskOdds
from occlufacediff.occlusion.random_masks import Float, occluded_regions


def published_mask(lmk_2d: Float, rng: np.random.Generator, odds: PublishedMaskOdds) -> Float:
    """Draw the visible landmarks (T, N) of a window, 1 visible and 0 occluded.

    One number decides: everything is occluded, or frames that are drawn with repetition, T / 2 times, or a span. The
    span's start is uniform on ``0 .. T - min_frames - 1``, its length on ``min_frames .. T - start``, both inclusive.

    Args:
        lmk_2d: (T, 468, 2) landmarks in crop coordinates; see `occlusion.random_masks.training_mask` for NaN.
        rng: generator of this window.
        odds: of the phase.
    """
    count = len(lmk_2d)
    visible = np.ones(lmk_2d.shape[:2], np.float32)
    draw = rng.random()
    if draw < odds.whole:
        return np.zeros_like(visible)
    if draw < odds.whole + odds.frames:
        visible[rng.integers(0, count, count // 2)] = 0
        return visible
    shortest = min(odds.min_frames, count)
    start = int(rng.integers(0, max(count - shortest, 1)))
    length = int(rng.integers(shortest, count - start + 1))
    span = slice(start, start + length)
    visible[span][occluded_regions(lmk_2d, rng, _regions_of(odds))[span]] = 0
    return visible


def _regions_of(odds: PublishedMaskOdds) -> MaskSettings:
    """The odds and sizes of regions, without the chin in the mouth's box."""
    names = ("all", "eyes", "left", "right", "mouth", "random", "contour")
    sizes = ("half_min", "half_max", "contour_min", "contour_max")
    values = {name: getattr(odds, name) for name in (*names, *sizes)}
    return MaskSettings(whole=0.0, half_frames=0.0, nothing=0.0, mouth_with_chin=0.0, **values)
