"""A sampled motion adapted to the clip at hand: rest, gain and offset from its visible frames, and how sure it is.

Each coefficient is a Gaussian process over the frames: a mean, the speaker's rest, the sampled motion with a gain,
loudness and timbre with weights of their own, what stays visible beside it likewise (a mouth seems to move with the
head's turns, for no head model has quite the depth of a real face, and who smiles narrows the eyes), slow drift, and
fast motion (Matern 3/2) that nothing tells. Its posterior given the visible frames joins these without a jump, and
leaves them for the sampled motion as far as that has proved right there. The offset of sound and picture is the one
under which the visible frames are likeliest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cholesky, solve_triangular
from scipy.ndimage import gaussian_filter1d

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.face_mesh import EYES_AND_BROWS, LIPS
from occlufacediff.media.rates import FPS

Array = NDArray[np.float64]
Float = NDArray[np.float32]

#: A group of coefficients is told where this share of its landmarks is visible, of those that any frame shows.
_TOLD = 0.9
#: A coefficient that at least this share of the frames tells counts as visible beside others.
_STEADILY_TOLD = 0.9
#: Fewer points than this tell nothing.
_LEAST_POINTS = 8
#: Fewer told frames than this say nothing of the offset.
_LEAST_FRAMES = 20
#: Coefficients, those that the sound moves most, that tell of the offset.
_TELLING = 8
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
        offset: frames by which the sound is taken to come late.
        adapted: false for a motion as it was sampled, which does not go over into what is visible by itself.
    """

    motion: Float
    spread: Float
    offset: int
    adapted: bool


def told_coefficients(visible: Float, names: tuple[str, ...]) -> NDArray[np.bool_]:
    """Which coefficients (T, E + 3) of expression ``names`` and jaw the visible landmarks (T, 468) tell.

    Those of the mouth are told in frames that show nearly all lip landmarks that any frame shows, and so with lids and
    brows for theirs: some detectors never give some of the points.
    """
    mouth, eyes = (_shown(visible[:, points] > 0) for points in (LIPS, EYES_AND_BROWS))
    upper = np.array([name.startswith(("brow", "eye")) for name in names] + [False] * 3)
    return np.where(upper, eyes[:, None], mouth[:, None])


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
    sound: Array | None,
    *,
    pose: NDArray[np.floating] | None = None,
    apart: NDArray[np.floating] | None = None,
    mean: NDArray[np.floating],
    spread: NDArray[np.floating],
    settings: AdaptationSettings,
) -> Adapted:
    """Adapt a sampled motion to what is visible.

    Args:
        sampled: (T, M) motion by the networks, a mean of samples.
        seen: (T, M) motion that the visible landmarks show, right where ``told``.
        told: (T, M).
        sound: (T, K) columns of `speech.loudness.sound_columns`; None for no sound.
        pose: (T, 3) axis-angle of the head, radians; None leaves it out.
        apart: (T, M) how far guesses of the motion lie apart: where they do so most, the spread is largest.
        mean: (M,) face of an unknown speaker. spread: (M,) about it within a clip.
        settings: what is expected.
    """
    seen, mean, spread = (np.asarray(values, np.float64) for values in (seen, mean, spread))
    motion, deviation = seen.copy(), np.tile(settings.noise_sd * spread, (len(seen), 1))
    heard = np.zeros((len(seen), 0)) if sound is None else settings.sound_sd * np.asarray(sound, np.float64)
    offset = 0
    for pattern in np.unique(told, axis=1).T:
        columns = np.flatnonzero((told == pattern[:, None]).all(axis=0))
        if pattern.all():
            continue
        lag = 0
        unit = _own_spread(seen[pattern][:, columns], spread[columns])
        pull = np.asarray(sampled, np.float64)[:, columns] / unit
        beside = _beside(pose, seen, told, columns, spread, settings)
        process = _Process(pull - pull.mean(axis=0), heard, beside, settings)
        shown = (seen[:, columns] - mean[columns]) / unit
        if sound is not None:
            lag = process.likeliest_offset(shown, np.flatnonzero(pattern)[: 2 * settings.context])
            process = process.moved(lag)
            offset = lag if abs(lag) > abs(offset) else offset
        for run, context in _runs(pattern, settings.context):
            value, error = process.posterior(run, context, shown[context])
            motion[np.ix_(run, columns)] = mean[columns] + unit * value
            sampled_at = _earlier(len(seen), lag)[run]
            deviation[np.ix_(run, columns)] = unit * error * _uneven(apart, sampled_at, columns, settings.apart_share)
    return Adapted(motion.astype(np.float32), deviation.astype(np.float32), offset, adapted=True)


@dataclass(frozen=True, eq=False)
class _Process:
    """The prior of N coefficients, each in units of its spread and about its mean.

    Attributes:
        pull: (T, N) the sampled motion about its mean over the clip.
        sound: (T, K) and beside: (T, L), of what stays visible, each times the deviation of its weights.
        settings: what is expected.
    """

    pull: Array
    sound: Array
    beside: Array
    settings: AdaptationSettings

    def moved(self, frames: int) -> _Process:
        """With what comes of the sound ``frames`` earlier."""
        place = _earlier(len(self.pull), frames)
        return replace(self, pull=self.pull[place], sound=self.sound[place])

    def covariance(self, rows: NDArray[np.intp], columns: NDArray[np.intp]) -> Array:
        """Of all terms but the gain: the same for all coefficients."""
        telling = self._telling
        return self._kernel(rows[:, None] - columns) + telling[rows] @ telling[columns].T

    def variance(self, rows: NDArray[np.intp]) -> Array:
        """The diagonal of `covariance` of these rows with themselves."""
        return self._kernel(np.zeros_like(rows)) + (self._telling[rows] ** 2).sum(axis=1)

    def _kernel(self, frames: NDArray[np.intp]) -> Array:
        """Covariance, of so many ``frames`` from each other, of rest, slow drift and fast motion."""
        s, apart = self.settings, np.abs(frames) / FPS
        near = np.sqrt(3.0) * apart / s.fast_s
        slow, fast = s.slow_sd**2 * np.exp(-apart / s.slow_s), s.fast_sd**2 * (1 + near) * np.exp(-near)
        return np.asarray(s.rest_sd**2 + slow + fast)

    @property
    def _telling(self) -> Array:
        """Columns (T, K + L) that move a coefficient by weights that are not known."""
        return np.concatenate([self.sound, self.beside], axis=1)

    def posterior(self, run: NDArray[np.intp], context: NDArray[np.intp], shown: Array) -> tuple[Array, Array]:
        """Mean and standard deviation (R, N) at the frames ``run``, told by what the frames ``context`` show (C, N).

        The gain adds ``gain_sd^2 p p^T`` to the covariance, p being a coefficient's pull: a change of rank one, so that
        one factorisation serves all coefficients (Sherman and Morrison).
        """
        s, gain = self.settings, self.settings.gain_sd**2
        before = s.gain * self.pull[run]
        own = self.variance(run)[:, None]
        if not len(context):
            return before, np.sqrt(own + gain * self.pull[run] ** 2)
        factor = self._factor(context, self._kernel(context[:, None] - context))
        across = solve_triangular(factor, self.covariance(context, run), lower=True)  # (C, R)
        pull, rest = self._whitened(factor, context, shown)
        strength = 1 + gain * (pull**2).sum(axis=0)  # (N,)
        share = (pull * rest).sum(axis=0) / strength
        left = self.pull[run] - across.T @ pull  # pull that the visible frames do not account for
        value = before + across.T @ rest + gain * left * share
        variance = own - (across**2).sum(axis=0)[:, None] + gain * left**2 / strength
        return value, np.sqrt(np.maximum(variance, 0.0))

    def likeliest_offset(self, shown: Array, context: NDArray[np.intp]) -> int:
        """Frames by which the sound comes late, by the likelihood of what is shown and by what offsets are usual."""
        s, gain = self.settings, self.settings.gain_sd**2
        if len(context) < _LEAST_FRAMES or s.max_offset == 0:
            return 0
        telling = np.argsort(-self.pull.std(axis=0), kind="stable")[:_TELLING]
        strongest = replace(self, pull=self.pull[:, telling])
        kernel = self._kernel(context[:, None] - context)
        likelihood: dict[int, float] = {}
        for lag in range(-s.max_offset, s.max_offset + 1):
            moved = strongest.moved(lag)
            factor = moved._factor(context, kernel)
            pull, rest = moved._whitened(factor, context, shown[np.ix_(context, telling)])
            strength = 1 + gain * (pull**2).sum(axis=0)
            fit = (rest**2).sum(axis=0) - gain * (pull * rest).sum(axis=0) ** 2 / strength + np.log(strength)
            likelihood[lag] = -0.5 * float(fit.sum()) - len(telling) * float(np.log(np.diag(factor)).sum())
            likelihood[lag] -= 0.5 * ((lag - s.offset) / s.offset_sd) ** 2
        return max(likelihood, key=lambda lag: likelihood[lag])

    def _factor(self, context: NDArray[np.intp], kernel: Array) -> Array:
        """Lower Cholesky factor of the covariance of what the frames ``context`` show, without the gain's part.

        ``kernel`` is `_kernel` between these frames, which no offset changes.
        """
        telling, noise = self._telling[context], self.settings.noise_sd**2 * np.eye(len(context))
        return np.asarray(cholesky(kernel + telling @ telling.T + noise, lower=True))

    def _whitened(self, factor: Array, context: NDArray[np.intp], shown: Array) -> tuple[Array, Array]:
        """Pull, and what is shown beyond the expected gain (C, N), whitened by the factor."""
        pull = self.pull[context]
        both = solve_triangular(factor, np.concatenate([pull, shown - self.settings.gain * pull], axis=1), lower=True)
        return both[:, : pull.shape[1]], both[:, pull.shape[1] :]


def _beside(
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


def _earlier(count: int, frames: int) -> NDArray[np.intp]:
    """Places (T,) of ``count`` frames that lie ``frames`` later: what they hold comes so much earlier."""
    return np.clip(np.arange(count) + frames, 0, count - 1)


def _uneven(
    apart: NDArray[np.floating] | None, run: NDArray[np.intp], columns: NDArray[np.intp], share: float
) -> Array:
    """Factors (R, N), 1 in the mean square, that follow how far guesses lie apart in the frames of a run.

    Guesses that agree throughout tell nothing: all factors are 1.
    """
    if apart is None:
        return np.ones((len(run), len(columns)))
    variance = np.asarray(apart, np.float64)[np.ix_(run, columns)] ** 2
    mean = np.broadcast_to(variance.mean(axis=0), variance.shape)
    # Equal guesses lie apart by what float32 rounds.
    even = np.divide(variance, mean, out=np.ones_like(variance), where=mean > 1e-12)
    return np.asarray(np.sqrt(1 - share + share * even))


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
