"""The method ``phone_rules``: motion computed from phones by viseme rules, fitted to the visible frames. No network."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from occlufacediff.evaluation.baselines import bridge
from occlufacediff.face_mesh import INNER_LIP_BOTTOM, INNER_LIP_TOP, LIPS
from occlufacediff.head.landmark_basis import LandmarkBasis
from occlufacediff.media.rates import FPS
from occlufacediff.speech.phones import PHONES, SILENCE, Phones, phone_features
from occlufacediff.speech.prosody import articulation_strength
from occlufacediff.speech.viseme_rules import viseme_motion

Float = NDArray[np.float32]

#: Prior of the gain of the rules' motion, and its weight in frames.
PRIOR_GAIN, PRIOR_FRAMES = 0.65, 50.0
#: Prior standard deviation of the audio offset, frames. Frames of speech are correlated: each counts as this fraction
#: of an independent one.
OFFSET_SPREAD, INDEPENDENT = 2.0, 0.1
#: Smallest number of visible frames for estimating offset and gain.
LEAST_FRAMES = 5


def phone_rules_motion(
    phones: Phones,
    log_mel: Float,
    fitted: Float,
    occluded: NDArray[np.bool_],
    basis: LandmarkBasis,
    shape: Float,
    *,
    most_offset: int,
) -> Float:
    """Motion (T, E + 3) by viseme rules, with audio offset, gain and rest position fitted to the visible frames.

    Let x be the rules' motion and y the visible motion, both as lip landmarks minus their means over the visible
    frames. The gain is the ridge estimate ``g = (x y + n p g0) / (x x + n p)``, with p the power of x over all frames,
    g0 the gain of the prior and n its weight in frames. The motion is ``g (x - mean x) + mean y``; if no frame is
    visible, ``g0 x``.

    Args:
        phones: recognised in the audio.
        log_mel: (4 T, 80), for the loudness.
        fitted: (T, E + 3) motion fitted to visible landmarks.
        occluded: (T,) frames in which ``fitted`` is not reliable.
        basis: head model at its landmarks.
        shape: (S,) identity.
        most_offset: largest audio offset tried, frames.
    """
    visible, loud = ~occluded, articulation_strength(log_mel)

    def motion_at(offset: int) -> Float:
        return viseme_motion(phones, len(fitted), basis.expression_names, strength=loud, offset_s=offset / FPS, fps=FPS)

    if visible.sum() < LEAST_FRAMES:
        return np.float32(PRIOR_GAIN) * motion_at(0)
    lips = _lips(basis, shape, fitted)
    offset = _likely_offset(
        phones,
        _opening(basis, lips)[visible],
        visible,
        lambda lag: _opening(basis, _lips(basis, shape, motion_at(lag))),
        most_offset,
    )
    motion = motion_at(offset)
    rows = basis.rows_of(LIPS)
    by_rules, true = _lips(basis, shape, motion)[:, rows], lips[:, rows]
    centred = by_rules[visible] - by_rules[visible].mean(axis=0)
    prior = PRIOR_FRAMES * float(np.var(by_rules, axis=0).sum())
    power = float((centred**2).sum()) + prior
    gain = PRIOR_GAIN
    if power > 0:
        gain = (float((centred * true[visible]).sum()) + prior * PRIOR_GAIN) / power
    middle, rest = motion[visible].mean(axis=0), fitted[visible].mean(axis=0)
    return (max(gain, 0.0) * (motion - middle) + rest).astype(np.float32)


def rules_with_bridge(
    phones: Phones,
    log_mel: Float,
    fitted: Float,
    occluded: NDArray[np.bool_],
    basis: LandmarkBasis,
    shape: Float,
    *,
    most_offset: int,
    decay_s: float,
) -> Float:
    """`phone_rules_motion`, with the motion of the visible frames in these.

    The difference to the visible frames decays inside occluded spans, as in `baselines.bridge`. Arguments are those of
    `phone_rules_motion`, and the time constant ``decay_s`` of the decay.
    """
    motion = phone_rules_motion(phones, log_mel, fitted, occluded, basis, shape, most_offset=most_offset)
    residual = np.where(occluded[:, None], 0, fitted - motion).astype(np.float32)
    return motion + (residual if occluded.all() else bridge(residual, occluded, decay_s))


def _lips(basis: LandmarkBasis, shape: Float, motion: Float) -> NDArray[np.float64]:
    """Landmarks (T, L, 3) of a motion with an identity (S,), without pose."""
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
    """The most likely audio offset: frames by which the audio lags the video.

    Maximises ``-(n / 2) log(1 - r^2) - (lag / spread)^2 / 2`` over the lags. Here r is the correlation of the lip
    openings (0 where negative), and n the number of independent visible frames with speech: silence agrees with almost
    any lag, so silent frames do not count.

    Args:
        phones: recognised in the audio.
        opening: lip opening of the visible frames.
        visible: (T,) visible frames.
        opening_at: lip opening (T,) by the rules for a lag.
        most: largest lag, frames.
    """
    frames = np.arange(len(visible))
    spoken = 1.0 - phone_features(phones, len(visible))[:, PHONES.index(SILENCE)]
    best, most_likely = 0, -np.inf
    for lag in sorted(range(-most, most + 1), key=abs):
        n = INDEPENDENT * spoken[np.clip(frames + lag, 0, len(visible) - 1)][visible].sum()
        by_rules = opening_at(lag)[visible]
        agree = 0.0
        if by_rules.std() > 0 and opening.std() > 0:
            agree = min(max(float(np.corrcoef(opening, by_rules)[0, 1]), 0.0), 0.99)
        likely = -0.5 * n * np.log(1.0 - agree**2) - 0.5 * (lag / OFFSET_SPREAD) ** 2
        if likely > most_likely:
            best, most_likely = lag, likely
    return best
