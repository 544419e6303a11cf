"""Phones by rules, fitted to the visible frames of a recording: what a method without a network makes of the sound."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.rates import FPS
from occlufacediff.speech.loudness import strength
from occlufacediff.speech.phones import PHONES, SILENCE, Phones, phone_features
from occlufacediff.speech.rules import rules_motion

Float = NDArray[np.float32]

#: The rules' motion is taken at this size unless visible frames say otherwise; the prior counts as so many frames.
PRIOR_GAIN, PRIOR_FRAMES = 0.65, 50.0
#: Sound and picture are in step give or take so many frames (a standard deviation), before anything is seen; frames of
#: speech follow one another, and each counts as this share of an independent one.
OFFSET_SPREAD, INDEPENDENT = 2.0, 0.1
#: Visible frames of speech that an offset or a gain needs.
LEAST_FRAMES = 5


def moved_by_rules(
    phones: Phones,
    log_mel: Float,
    seen: Float,
    covered: NDArray[np.bool_],
    basis: LandmarkBasis,
    shape: Float,
    *,
    most_offset: int,
) -> Float:
    """The rules' motion (T, E + 3) for all frames, its offset, size and resting face fitted to the visible ones.

    With rules x and visible motion y, as lip landmarks about their means over the visible frames, the gain is the
    ridge estimate ``g = (x y + n p g0) / (x x + n p)``: p the power of x over all frames, g0 and n the prior's gain
    and frames. The motion is ``g (x - mean x) + mean y``; where nothing is visible, ``g0 x``.

    Args:
        log_mel: (4 T, 80), for the loudness.
        seen: (T, E + 3) motion fitted to visible landmarks; covered: (T,) frames of it that are not to be trusted.
        shape: (S,) identity.
        most_offset: largest offset tried, frames.
    """
    visible, loud = ~covered, strength(log_mel)

    def motion_at(offset: int) -> Float:
        return rules_motion(phones, len(seen), basis.expression_names, strength=loud, offset_s=offset / FPS, fps=FPS)

    if visible.sum() < LEAST_FRAMES:
        return np.float32(PRIOR_GAIN) * motion_at(0)
    lips = _lips(basis, shape, seen)
    offset = _likely_offset(
        phones,
        _opening(basis, lips)[visible],
        visible,
        lambda lag: _opening(basis, _lips(basis, shape, motion_at(lag))),
        most_offset,
    )
    motion = motion_at(offset)
    rows = basis.rows_of(LIPS)
    ruled, true = _lips(basis, shape, motion)[:, rows], lips[:, rows]
    ruled_seen = ruled[visible] - ruled[visible].mean(axis=0)
    prior = PRIOR_FRAMES * float(np.var(ruled, axis=0).sum())
    power = float((ruled_seen**2).sum()) + prior
    gain = PRIOR_GAIN
    if power > 0:
        gain = (float((ruled_seen * true[visible]).sum()) + prior * PRIOR_GAIN) / power
    middle, rest = motion[visible].mean(axis=0), seen[visible].mean(axis=0)
    return (max(gain, 0.0) * (motion - middle) + rest).astype(np.float32)


def _lips(basis: LandmarkBasis, shape: Float, motion: Float) -> NDArray[np.float64]:
    """Landmarks (T, L, 3) of a motion on an identity (S,), without pose."""
    values = np.asarray(motion, dtype=np.float64)
    return basis.local(np.asarray(shape, dtype=np.float64), values[:, :-3], values[:, -3:])


def _opening(basis: LandmarkBasis, landmarks: NDArray[np.float64]) -> NDArray[np.float64]:
    top, bottom = basis.place[INNER_LIP_TOP], basis.place[INNER_LIP_BOTTOM]
    return np.linalg.norm(landmarks[:, top] - landmarks[:, bottom], axis=-1)


def _likely_offset(
    phones: Phones,
    opening: NDArray[np.float64],
    visible: NDArray[np.bool_],
    opening_at: Callable[[int], NDArray[np.float64]],
    most: int,
) -> int:
    """Frames by which the sound most likely comes late.

    The largest of ``-(n / 2) log(1 - r^2) - (lag / spread)^2 / 2`` over the lags, r the correlation of the lips'
    opening (where it is positive) and n the number of independent visible frames with speech: silence at both ends of
    a recording agrees with almost any lag.

    Args:
        opening: of the visible frames. opening_at: (T,) by the rules, of a lag.
    """
    frames = np.arange(len(visible))
    spoken = 1.0 - phone_features(phones, len(visible))[:, PHONES.index(SILENCE)]
    best, most_likely = 0, -np.inf
    for lag in sorted(range(-most, most + 1), key=abs):
        n = INDEPENDENT * spoken[np.clip(frames + lag, 0, len(visible) - 1)][visible].sum()
        ruled = opening_at(lag)[visible]
        agree = 0.0
        if ruled.std() > 0 and opening.std() > 0:
            agree = min(max(float(np.corrcoef(opening, ruled)[0, 1]), 0.0), 0.99)
        likely = -0.5 * n * np.log(1.0 - agree**2) - 0.5 * (lag / OFFSET_SPREAD) ** 2
        if likely > most_likely:
            best, most_likely = lag, likely
    return best
