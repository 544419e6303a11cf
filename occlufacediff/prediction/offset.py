"""Audio offset: by how many frames the audio lags the video, estimated from the visible frames of the mouth.

The estimate uses the motion by viseme rules, which does not depend on the video. Samples of the networks follow the
visible frames whatever the audio is, so they would always give an offset of 0.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.prediction.gaussian_process import Array, Process

#: No estimate is made from fewer visible frames than this.
_LEAST_FRAMES = 20
#: Where more frames are visible than are used, the liveliest pieces of this many frames are used.
_PIECE = 25
#: Factor on the log-likelihood: frames, and errors of the rules, depend on each other more than the process assumes.
_TRUST = 0.5
#: An offset is reported if this much of the probability lies on one side of 0.
_SURE = 0.9


@dataclass(frozen=True, eq=False)
class Offset:
    """Probability of each audio offset.

    Attributes:
        frames: (L,) offsets, positive where the audio lags the video.
        weights: (L,) probabilities, with a sum of 1.
    """

    frames: NDArray[np.intp]
    weights: Array

    @property
    def likeliest(self) -> int:
        """The most likely offset, frames."""
        return int(self.frames[np.argmax(self.weights)])

    @property
    def reported(self) -> int:
        """The median, frames; 0 unless the sign of the offset is nearly certain."""
        late, early = (float(self.weights[side].sum()) for side in (self.frames > 0, self.frames < 0))
        if max(late, early) < _SURE:
            return 0
        return int(self.frames[np.searchsorted(np.cumsum(self.weights), 0.5)])

    def at_video(self, values: NDArray[np.floating]) -> Array:
        """Values (T, K) of the audio at the frames of the video: the mean over all offsets."""
        return np.asarray(
            sum(weight * moved(values, lag) for lag, weight in zip(self.frames, self.weights, strict=True) if weight)
        )


NO_OFFSET = Offset(np.zeros(1, np.intp), np.ones(1))


def moved(values: NDArray[np.floating], lag: int) -> Array:
    """Values (T, K) of ``lag`` frames later; the first or last value beyond the ends."""
    return np.asarray(values[np.clip(np.arange(len(values)) + lag, 0, len(values) - 1)], np.float64)


def find_offset(
    by_rules: Array,
    audio_columns: Array,
    visible_columns: Array,
    shown: Array,
    known: NDArray[np.bool_],
    settings: AdaptationSettings,
) -> Offset:
    """Probability of each offset, by the likelihood of the visible frames.

    Args:
        by_rules: (T, N) motion by viseme rules, in units of the coefficients' spread.
        audio_columns: (T, K) columns of the audio with unknown weights.
        visible_columns: (T, L) columns of the video with unknown weights.
        shown: (T, N) motion of the fit, valid where ``known`` (T,).
        settings: prior of the offset and parameters of the process.
    """
    pull = by_rules - by_rules.mean(axis=0)
    context = _liveliest(pull, np.flatnonzero(known), 2 * settings.context)
    if settings.max_offset == 0 or len(context) < _LEAST_FRAMES or not np.ptp(by_rules[context], axis=0).any():
        return NO_OFFSET
    frames = np.arange(-settings.max_offset, settings.max_offset + 1)
    score = np.empty(len(frames))
    values = shown[context]
    kernel = Process(pull, visible_columns, settings).kernel(context[:, None] - context)
    for place, lag in enumerate(frames):
        columns = np.concatenate([moved(audio_columns, lag), visible_columns], axis=1)
        score[place] = _TRUST * Process(moved(pull, lag), columns, settings).likelihood(context, values, kernel)
    score -= 0.5 * ((frames - settings.offset) / settings.offset_sd) ** 2
    weights = np.exp(score - score.max())
    weights[weights < 0.01] = 0  # without effect, and each costs a copy
    return Offset(frames, weights / weights.sum())


def _liveliest(pull: Array, frames: NDArray[np.intp], count: int) -> NDArray[np.intp]:
    """At most ``count`` of the frames: the pieces in which the pull (T, N) varies most."""
    if len(frames) <= count:
        return frames
    pieces = np.array_split(frames, -(-len(frames) // _PIECE))
    lively = sorted(range(len(pieces)), key=lambda number: -float(pull[pieces[number]].var(axis=0).sum()))
    return np.concatenate([pieces[number] for number in sorted(lively[: max(count // _PIECE, 1)])])
