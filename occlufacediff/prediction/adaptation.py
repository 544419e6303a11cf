"""Adaptation: correct sampled motion by the visible frames of the same clip, and give its spread.

Each coefficient is a Gaussian process over the frames (`gaussian_process`). Its terms are

- a mean, and the speaker's rest position about it;
- the sampled motion times a gain;
- known columns with unknown weights: loudness, timbre, phones, head rotation, and coefficients that stay visible.
  Head rotation matters because no head model has exactly the depth of a real face; visible coefficients because, for
  example, a smile narrows the eyes;
- slow drift and fast motion.

The posterior given the visible frames passes into them without a jump. Away from them it returns to the sampled motion,
scaled by how well that agreed with the visible frames.
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
from occlufacediff.prediction.spread import disagreement_factors

Float = NDArray[np.float32]

#: A group of coefficients is known where this share of its landmarks is visible, of those visible in any frame.
_KNOWN_SHARE = 0.9
#: A coefficient that is known in at least this share of the frames explains others.
_MOSTLY_KNOWN = 0.9
#: A group with fewer landmarks than this is never known.
_LEAST_LANDMARKS = 8
#: Visible coefficients and head rotation explain slow changes only: standard deviation of their smoothing, frames.
_SMOOTH_FRAMES = 2.0
#: Weight of the speaker-independent spread of a coefficient against that in this clip, frames.
_SPREAD_FRAMES = 25


@dataclass(frozen=True, eq=False)
class AdaptedMotion:
    """Motion adapted to the visible frames of its clip, or unchanged samples.

    Attributes:
        motion: (T, M) float32.
        spread: (T, M) float32, standard deviation; small in visible frames, NaN where it is not known.
        offset: audio offset, frames; 0 unless it is nearly certain.
        adapted: False for unchanged samples, which do not pass into visible frames without a jump.
    """

    motion: Float
    spread: Float
    offset: int = 0
    adapted: bool = True


def visible_coefficients(visible: Float, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Coefficients that visible landmarks determine, (T, E + 3).

    Those of the mouth are known in frames that show nearly all lip landmarks; those of lids and brows likewise by
    theirs. Only landmarks that are visible in some frame count, as some detectors never give all of them.

    Args:
        visible: (T, 468) 1 where a landmark is visible.
        names: names of the E expression coefficients.
    """
    mouth, eyes = (_frames_that_show(visible[:, points] > 0) for points in (LIPS, EYES_AND_BROWS))
    return np.where(upper_columns(names), eyes[:, None], mouth[:, None])


def mouth_is_hidden(visible: Float, names: tuple[str, ...]) -> bool:
    """Whether visible landmarks do not determine the mouth in some frame.

    Args:
        visible: (T, 468) 1 where a landmark is visible.
        names: names of the E expression coefficients.
    """
    return not visible_coefficients(visible, names)[:, ~upper_columns(names)].all()


def _frames_that_show(visible: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Frames (T,) that show nearly all of the landmarks (T, N) that are visible in any frame."""
    ever = visible.any(axis=0)
    if ever.sum() < _LEAST_LANDMARKS:
        return np.zeros(len(visible), np.bool_)
    return np.asarray(visible[:, ever].mean(axis=1) >= _KNOWN_SHARE)


def adapt(
    sampled: NDArray[np.floating],
    shown: NDArray[np.floating],
    known: NDArray[np.bool_],
    audio_columns: Array | None,
    *,
    pose: NDArray[np.floating] | None = None,
    disagreement: NDArray[np.floating] | None = None,
    follow: NDArray[np.floating] | None = None,
    mean: NDArray[np.floating],
    spread: NDArray[np.floating],
    settings: AdaptationSettings,
) -> AdaptedMotion:
    """Adapt a sampled motion to the visible frames.

    Args:
        sampled: (T, M) the motion to adapt, with the audio offset removed.
        shown: (T, M) motion of the fit to visible landmarks, valid where ``known``.
        known: (T, M) True where visible landmarks determine a coefficient.
        audio_columns: (T, K) columns of audio with unknown weights, each times the deviation of its weights; None
            without audio.
        pose: (T, 3) head rotation, axis-angle, radians; None leaves it out.
        disagreement: (T, M) standard deviation over samples and rules; the spread is largest where it is.
        follow: (M,) factor on the gain of each coefficient; None for 1.
        mean: (M,) mean over all speakers.
        spread: (M,) standard deviation within a clip, over all speakers.
        settings: parameters of the process.
    """
    shown, mean, spread = (np.asarray(values, np.float64) for values in (shown, mean, spread))
    motion, deviation = shown.copy(), np.tile(settings.noise_sd * spread, (len(shown), 1))
    audio = np.zeros((len(shown), 0)) if audio_columns is None else np.asarray(audio_columns, np.float64)
    for frames, columns in _groups(known):
        unit, scaled = in_units(shown, frames, columns, mean, spread)
        pull = np.asarray(sampled, np.float64)[:, columns] * (1.0 if follow is None else follow[columns]) / unit
        explaining = np.concatenate([audio, visible_columns(pose, shown, known, columns, spread, settings)], axis=1)
        process = Process(pull - pull.mean(axis=0), explaining, settings)
        for run, context in _runs(frames, settings.context):
            value, error = process.posterior(run, context, scaled[context])
            motion[np.ix_(run, columns)] = mean[columns] + unit * value
            factors = disagreement_factors(disagreement, run, columns, settings.disagreement_share)
            deviation[np.ix_(run, columns)] = unit * error * factors
    return AdaptedMotion(motion.astype(np.float32), deviation.astype(np.float32))


def _groups(known: NDArray[np.bool_]) -> Iterator[tuple[NDArray[np.bool_], NDArray[np.intp]]]:
    """Coefficients known (T, M) in the same frames: these frames (T,), unless that is all, and the columns."""
    for frames in np.unique(known, axis=1).T:
        if not frames.all():
            yield frames, np.flatnonzero((known == frames[:, None]).all(axis=0))


def in_units(
    shown: Array, known: NDArray[np.bool_], columns: NDArray[np.intp], mean: Array, spread: Array
) -> tuple[Array, Array]:
    """Spread (N,) of some ``columns`` in this clip, and the shown motion (T, N) about the mean in units of it.

    Args:
        shown: (T, M) motion of the fit.
        known: (T,) frames in which it is valid.
        columns: (N,) coefficients.
        mean, spread: (M,) statistics over all speakers.
    """
    unit = _clip_spread(shown[known][:, columns], spread[columns])
    return unit, (shown[:, columns] - mean[columns]) / unit


def visible_columns(
    pose: NDArray[np.floating] | None,
    shown: Array,
    known: NDArray[np.bool_],
    columns: NDArray[np.intp],
    spread: Array,
    settings: AdaptationSettings,
) -> Array:
    """Columns (T, L) of the video that explain the coefficients ``columns``, each about its mean.

    They are head rotation (``head_turn_sd`` at 10 degrees) and coefficients that nearly all frames show
    (``visible_sd`` at their spread).
    """
    parts = [np.zeros((len(shown), 0))]
    if pose is not None:
        turns = np.asarray(pose, np.float64) / np.radians(10)
        parts.append(settings.head_turn_sd * (turns - turns.mean(axis=0)))
    for other in np.setdiff1d(np.flatnonzero(known.mean(axis=0) >= _MOSTLY_KNOWN), columns):
        frames = known[:, other]
        values = shown[frames, other]
        scaled = (shown[:, other] - values.mean()) / _clip_spread(values[:, None], spread[other : other + 1])
        parts.append(settings.visible_sd * np.where(frames, scaled, 0.0)[:, None])
    return np.asarray(gaussian_filter1d(np.concatenate(parts, axis=1), _SMOOTH_FRAMES, axis=0))


def _clip_spread(values: Array, spread: Array) -> Array:
    """Spread (N,) of coefficients in this clip: that of K known frames (K, N) and the usual one, weighted by frames."""
    if len(values) < 2:
        return spread
    return np.asarray(
        np.sqrt((_SPREAD_FRAMES * spread**2 + len(values) * values.var(axis=0)) / (_SPREAD_FRAMES + len(values)))
    )


def _runs(known: NDArray[np.bool_], context: int) -> Iterator[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Runs of frames that are not known, each with at most ``context`` nearest known frames on either side."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], ~known, [False]]).astype(np.int8)))
    frames = np.flatnonzero(known)
    for first, stop in zip(edges[::2], edges[1::2], strict=True):
        place = int(np.searchsorted(frames, first))
        yield np.arange(first, stop), frames[max(place - context, 0) : place + context]
