"""Baselines that need neither network nor audio: they fill occluded frames from visible ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.rates import FPS

Float = NDArray[np.float32]


def interpolate(motion: Float, occluded: NDArray[np.bool_]) -> Float:
    """Motion (T, M) with occluded frames interpolated linearly between visible frames; the ends are held.

    The baseline receives the true motion of all visible frames, even if only part of the face is occluded. It is the
    best that a method without a model of speech can know. If every frame is occluded, the result is the neutral face.

    Args:
        motion: (T, M) true [exp, jaw].
        occluded: (T,) frames in which something is occluded.
    """
    frames = np.arange(len(motion))
    visible = frames[~occluded]
    if len(visible) == 0:
        return np.zeros_like(motion)
    return np.stack([np.interp(frames, visible, values[visible]) for values in motion.T], axis=1).astype(np.float32)


def neutral(motion: Float) -> Float:
    """The neutral face (zero expression, closed jaw) for all frames of a motion (T, M)."""
    return np.zeros_like(motion)


def hold(motion: Float, occluded: NDArray[np.bool_]) -> Float:
    """Repeat the last visible frame of a motion (T, M); before the first visible frame, that frame.

    Neutral if no frame is visible.
    """
    visible = np.flatnonzero(~occluded)
    if len(visible) == 0:
        return neutral(motion)
    last = np.searchsorted(visible, np.arange(len(motion)), side="right") - 1
    return motion[visible[np.maximum(last, 0)]]


def visible_mean(motion: Float, occluded: NDArray[np.bool_]) -> Float:
    """Set occluded frames of a motion (T, M) to the mean of the visible frames; neutral if no frame is visible."""
    if occluded.all():
        return neutral(motion)
    return np.where(occluded[:, None], motion[~occluded].mean(axis=0), motion).astype(np.float32)


def bridge(motion: Float, occluded: NDArray[np.bool_], decay_s: float) -> Float:
    """Let occluded frames of a motion (T, M) decay from the visible frames on both sides to the visible mean.

    The difference to the mean decays as ``exp(-distance / decay)``. Neutral if no frame is visible.
    """
    if occluded.all():
        return neutral(motion)
    frames, visible = np.arange(len(motion)), np.flatnonzero(~occluded)
    mean = motion[visible].mean(axis=0)
    filled = np.tile(mean, (len(motion), 1))
    place = np.searchsorted(visible, frames, side="right")
    for neighbour in (place - 1, place):
        at = visible[np.clip(neighbour, 0, len(visible) - 1)]
        exists = (neighbour >= 0) & (neighbour < len(visible))
        weight = np.where(exists, np.exp(-np.abs(frames - at) / (decay_s * FPS)), 0.0)
        filled += weight[:, None] * (motion[at] - mean)
    return np.where(occluded[:, None], filled, motion).astype(np.float32)
