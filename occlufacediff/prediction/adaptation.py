"""A sampled motion adapted to the clip at hand: rest and gain from its visible frames, and how sure it is.

Each coefficient is a Gaussian process over the frames (`gaussian_process`): a mean, the speaker's rest, the sampled
motion with a gain, what tells of it by weights of the speaker's own (loudness, timbre, sounds; what stays visible
beside it, for a mouth seems to move with the head's turns, no head model having quite the depth of a real face, and
who smiles narrows the eyes), slow drift, and fast motion that nothing tells. Its posterior given the visible frames
joins these without a jump, and leaves them for the sampled motion as far as that has proved right there.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.face_mesh import EYES_AND_BROWS, LIPS
from occlufacediff.head.coefficient_groups import upper_columns
from occlufacediff.prediction.gaussian_process import Array, Process
from occlufacediff.prediction.spread import uneven

Float = NDArray[np.float32]

#: A group of coefficients is told where this share of its landmarks is visible, of those that any frame shows.
_TOLD = 0.9
#: A coefficient that at least this share of the frames tells counts as visible beside others.
_STEADILY_TOLD = 0.9
#: Fewer points than this tell nothing.
_LEAST_POINTS = 8
#: What stays visible tells of slow changes: it is smoothed by a Gaussian of so many frames.
_STEADY_FRAMES = 2.0
#: Frames that the spread of a coefficient by all clips weighs as much as.
_SPREAD_FRAMES = 25


@dataclass(frozen=True, eq=False)
class Adapted:
    """A motion adapted to the visible frames of its clip, or one that is as it was sampled.

    Attributes:
        motion: (T, M).
        spread: (T, M) standard deviation about it; small in visible frames; NaN where it is not known.
        offset: frames by which the sound seems to come late; 0 where it may as well be early or in step.
        adapted: false for a motion as it was sampled, which does not go over into what is visible by itself.
    """

    motion: Float
    spread: Float
    offset: int = 0
    adapted: bool = True


def visible_coefficients(visible: Float, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which coefficients (T, E + 3) of expression ``names`` and jaw the visible landmarks (T, 468) tell.

    Those of the mouth are told in frames that show nearly all lip landmarks that any frame shows, and so with lids and
    brows for theirs: some detectors never give some of the points.
    """
    mouth, eyes = (_shown(visible[:, points] > 0) for points in (LIPS, EYES_AND_BROWS))
    return np.where(upper_columns(names), eyes[:, None], mouth[:, None])


def _shown(seen: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames (T,) that show nearly all points (T, N) of those that any frame shows."""
    ever = seen.any(axis=0)
    if ever.sum() < _LEAST_POINTS:
        return np.zeros(len(seen), np.bool_)
    return np.asarray(seen[:, ever].mean(axis=1) >= _TOLD)


def adapt(
    sampled: NDArray[np.floating],
    seen: NDArray[np.floating],
    told: NDArray[np.bool_],
    heard: Array | None,
    *,
    pose: NDArray[np.floating] | None = None,
    apart: NDArray[np.floating] | None = None,
    follow: NDArray[np.floating] | None = None,
    mean: NDArray[np.floating],
    spread: NDArray[np.floating],
    settings: AdaptationSettings,
) -> Adapted:
    """Adapt a sampled motion to what is visible.

    Args:
        sampled: (T, M) the motion to adapt, in step with the picture.
        seen: (T, M) motion that the visible landmarks show, right where ``told``.
        told: (T, M).
        heard: (T, K) columns of the sound that move coefficients by unknown weights, each times the deviation of its
            weights; None for no sound.
        pose: (T, 3) axis-angle of the head, radians; None leaves it out.
        apart: (T, M) how far guesses of the motion lie apart: where they do so most, the spread is largest.
        follow: (M,) how far each coefficient follows ``sampled``, a factor on the gain; None stands for 1.
        mean: (M,) face of an unknown speaker. spread: (M,) about it within a clip.
        settings: what is expected.
    """
    seen, mean, spread = (np.asarray(values, np.float64) for values in (seen, mean, spread))
    motion, deviation = seen.copy(), np.tile(settings.noise_sd * spread, (len(seen), 1))
    heard = np.zeros((len(seen), 0)) if heard is None else np.asarray(heard, np.float64)
    for pattern, columns in _groups(told):
        unit, shown = in_units(seen, pattern, columns, mean, spread)
        pull = np.asarray(sampled, np.float64)[:, columns] * (1.0 if follow is None else follow[columns]) / unit
        telling = np.concatenate([heard, beside(pose, seen, told, columns, spread, settings)], axis=1)
        process = Process(pull - pull.mean(axis=0), telling, settings)
        for run, context in _runs(pattern, settings.context):
            value, error = process.posterior(run, context, shown[context])
            motion[np.ix_(run, columns)] = mean[columns] + unit * value
            deviation[np.ix_(run, columns)] = unit * error * uneven(apart, run, columns, settings.apart_share)
    return Adapted(motion.astype(np.float32), deviation.astype(np.float32))


def _groups(told: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """Coefficients that are told (T, M) in the same frames: these frames (T,), not all of them, and their numbers."""
    for pattern in np.unique(told, axis=1).T:
        if not pattern.all():
            yield pattern, np.flatnonzero((told == pattern[:, None]).all(axis=0))


def in_units(
    seen: Array, told: NDArray[np.bool_], columns: NDArray[np.intp], mean: Array, spread: Array
) -> tuple[Array, Array]:
    """Spread (N,) of some ``columns`` of (T, M) in this clip, and what is seen of them (T, N), in units of it.

    Args:
        told: (T,) frames in which it is right.
        mean, spread: (M,) of an unknown speaker.
    """
    unit = _own_spread(seen[told][:, columns], spread[columns])
    return unit, (seen[:, columns] - mean[columns]) / unit


def beside(
    pose: NDArray[np.floating] | None,
    seen: Array,
    told: NDArray[np.bool_],
    columns: NDArray[np.intp],
    spread: Array,
    settings: AdaptationSettings,
) -> Array:
    """Columns (T, L) of what nearly all frames tell beside the coefficients ``columns``, each about its mean.

    They are the turns of the head, ``turned_sd`` at 10 degrees, and coefficients, ``beside_sd`` at their spread.
    """
    parts = [np.zeros((len(seen), 0))]
    if pose is not None:
        turns = np.asarray(pose, np.float64) / np.radians(10)
        parts.append(settings.turned_sd * (turns - turns.mean(axis=0)))
    for other in np.setdiff1d(np.flatnonzero(told.mean(axis=0) >= _STEADILY_TOLD), columns):
        known = told[:, other]
        shown = seen[known, other]
        value = (seen[:, other] - shown.mean()) / _own_spread(shown[:, None], spread[other : other + 1])
        parts.append(settings.beside_sd * np.where(known, value, 0.0)[:, None])
    return np.asarray(gaussian_filter1d(np.concatenate(parts, axis=1), _STEADY_FRAMES, axis=0))


def _own_spread(shown: Array, usual: Array) -> Array:
    """Spread (N,) of coefficients in this clip: of the frames shown (K, N) and the usual one, by their numbers."""
    if len(shown) < 2:
        return usual
    return np.asarray(
        np.sqrt((_SPREAD_FRAMES * usual**2 + len(shown) * shown.var(axis=0)) / (_SPREAD_FRAMES + len(shown)))
    )


def _runs(known: NDArray[np.bool_], most: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Runs of frames not known, each with the nearest known frames, at most ``most`` to either side."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~known, [False]]).astype(np.int8)))
    shown = np.flatnonzero(known)
    for first, stop in zip(edges[::2], edges[1::2], strict=True):
        place = int(np.searchsorted(shown, first))
        yield np.arange(first, stop), shown[max(place - most, 0) : place + most]
