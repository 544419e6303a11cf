"""By how many frames the sound comes late: what the visible frames of a mouth tell of it.

It is told by the motion of the phones by rules, which knows nothing of the picture. (Samples of a network that sees the
visible frames follow these whatever the sound does, and would always say: not at all.)
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from occlufacediff.config.adaptation import AdaptationSettings
from occlufacediff.prediction.gaussian_process import Array, Process

#: Fewer told frames than this say nothing of the offset.
_LEAST_FRAMES = 20
#: Where more frames are told than are looked at, those are looked at, in pieces of so many, in which most is said.
_PIECE = 25
#: The visible frames' say: they are less independent of each other, and of the rules' habits, than the process takes
#: them to be.
_TRUST = 0.5
#: An offset is told to people where so much of the weight lies on one side of none.
_SURE = 0.9


@dataclass(frozen=True, eq=False)
class Offset:
    """How much later than the picture the sound comes: frames, and how likely each number of them is.

    Attributes:
        frames: (L,) positive where the sound comes late. weights: (L,) adding up to 1.
    """

    frames: NDArray[np.intp]
    weights: Array

    @property
    def likeliest(self) -> int:
        """Frames by which the sound most likely comes late."""
        return int(self.frames[np.argmax(self.weights)])

    @property
    def told(self) -> int:
        """The median, frames; 0 unless it is nearly certain that the sound is late, or that it is early."""
        late, early = (float(self.weights[side].sum()) for side in (self.frames > 0, self.frames < 0))
        if max(late, early) < _SURE:
            return 0
        return int(self.frames[np.searchsorted(np.cumsum(self.weights), 0.5)])

    def of_picture(self, values: NDArray[np.floating]) -> Array:
        """What comes of the sound (T, K), at the frames of the picture: the mean over all offsets."""
        return np.asarray(
            sum(weight * moved(values, lag) for lag, weight in zip(self.frames, self.weights, strict=True) if weight)
        )


NO_OFFSET = Offset(np.zeros(1, np.intp), np.ones(1))


def moved(values: NDArray[np.floating], lag: int) -> Array:
    """Values (T, K) as they are ``lag`` frames later; the first or last where there are none."""
    return np.asarray(values[np.clip(np.arange(len(values)) + lag, 0, len(values) - 1)], np.float64)


def find_offset(
    ruled: Array,
    heard: Array,
    beside: Array,
    shown: Array,
    told: NDArray[np.bool_],
    settings: AdaptationSettings,
) -> Offset:
    """The offset of sound and picture.

    Args:
        ruled: (T, N) motion of coefficients by rules, in units of their spread.
        heard: (T, K) columns of the sound, beside: (T, L) of the picture, that move them by unknown weights.
        shown: (T, N) what the picture shows of them, right where ``told`` (T,).
        settings: what is expected of offsets and of the rest.
    """
    pull = ruled - ruled.mean(axis=0)
    context = _liveliest(pull, np.flatnonzero(told), 2 * settings.context)
    if settings.max_offset == 0 or len(context) < _LEAST_FRAMES or not np.ptp(ruled[context], axis=0).any():
        return NO_OFFSET
    frames = np.arange(-settings.max_offset, settings.max_offset + 1)
    score = np.empty(len(frames))
    seen = shown[context]
    kernel = Process(pull, beside, settings).kernel(context[:, None] - context)
    for place, lag in enumerate(frames):
        telling = np.concatenate([moved(heard, lag), beside], axis=1)
        score[place] = _TRUST * Process(moved(pull, lag), telling, settings).likelihood(context, seen, kernel)
    score -= 0.5 * ((frames - settings.offset) / settings.offset_sd) ** 2
    weights = np.exp(score - score.max())
    weights[weights < 0.01] = 0  # of no effect, and each costs a copy
    return Offset(frames, weights / weights.sum())


def _liveliest(pull: Array, frames: NDArray[np.intp], most: int) -> NDArray[np.intp]:
    """At most so many of the frames: the pieces of them in which the pull (T, N) changes most."""
    if len(frames) <= most:
        return frames
    pieces = np.array_split(frames, -(-len(frames) // _PIECE))
    lively = sorted(range(len(pieces)), key=lambda number: -float(pull[pieces[number]].var(axis=0).sum()))
    return np.concatenate([pieces[number] for number in sorted(lively[: max(most // _PIECE, 1)])])
