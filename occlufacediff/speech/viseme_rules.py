"""Motion of lips and jaw from phones by fixed rules: the visemes and coarticulation of the synthetic data set."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d

from occlufacediff.media.rates import FPS
from occlufacediff.speech.coarticulation import SpeakingStyle, speech_actions
from occlufacediff.speech.phones import PHONES, Phones, phone_features
from occlufacediff.speech.visemes import viseme_segments

Float = NDArray[np.float32]

#: Average speaking style: the means of the styles of synthetic speakers.
NEUTRAL_STYLE = SpeakingStyle(
    opening=0.21, lips=1.0, rounding=1.0, closure=0.95, stress=0.0, overlap=1.0, asymmetry=0.0, jaw_side=0.0
)
#: Long audio is processed in blocks of frames; phones further away than `_REACH_S` seconds have no influence. Without
#: blocks, memory grows with the square of the length.
_BLOCK, _REACH_S = 500, 3.0
#: Standard deviation in frames of the smoothing of `viseme_shares`.
_SMOOTHING_FRAMES = 1.2

#: CMU phone to its consecutive visemes, which share the duration equally.
VISEMES_OF_PHONES: dict[str, tuple[str, ...]] = {
    "AA": ("A",), "AE": ("a",), "AH": ("V",), "AO": ("O",), "AW": ("a", "U"), "AY": ("a", "I"), "B": ("PBM",),
    "CH": ("CH",), "D": ("TD",), "DH": ("TH",), "EH": ("E",), "ER": ("3",), "EY": ("E", "i"), "F": ("FV",),
    "G": ("KG",), "HH": ("H",), "IH": ("I",), "IY": ("i",), "JH": ("CH",), "K": ("KG",), "L": ("L",), "M": ("PBM",),
    "N": ("TD",), "NG": ("KG",), "OW": ("O", "u"), "OY": ("O", "i"), "P": ("PBM",), "R": ("R",), "S": ("SZ",),
    "SH": ("CH",), "T": ("TD",), "TH": ("TH",), "UH": ("U",), "UW": ("u",), "V": ("FV",), "W": ("W",), "Y": ("J",),
    "Z": ("SZ",), "ZH": ("CH",), "SIL": ("rest",),
}  # fmt: skip
_VISEMES = sorted({viseme for visemes in VISEMES_OF_PHONES.values() for viseme in visemes})
#: (40, V) share of each viseme in each phone.
_VISEME_SHARES = np.array(
    [[VISEMES_OF_PHONES[name].count(one) / len(VISEMES_OF_PHONES[name]) for one in _VISEMES] for name in PHONES]
)


def viseme_motion(
    phones: Phones,
    frames: int,
    expression_names: tuple[str, ...],
    *,
    strength: NDArray[np.floating] | None = None,
    offset_s: float = 0.0,
    fps: int = FPS,
) -> Float:
    """Expression and jaw (T, E + 3) of the phones at the times i / ``fps``.

    Args:
        expression_names: (E,) actions of the head. Actions that speech does not use stay 0. If the head has none of
            the speech actions, only its jaw moves.
        strength: (T,) factor on the motion, at frames of the audio; None for 1.
        offset_s: seconds by which the audio lags the video.
    """
    audio_times = np.arange(frames) / fps + offset_s
    blocks = [audio_times[first : first + _BLOCK] for first in range(0, max(frames, 1), _BLOCK)]
    motion = np.concatenate([_block_motion(phones, times, expression_names) for times in blocks])
    if strength is not None:
        motion *= np.interp(audio_times, np.arange(len(strength)) / fps, strength)[:, None]
    return motion.astype(np.float32)


def mean_viseme_motion(
    recognitions: Sequence[Phones],
    frames: int,
    expression_names: tuple[str, ...],
    *,
    strength: NDArray[np.floating],
) -> NDArray[np.float64]:
    """Mean of `viseme_motion` (T, E + 3) over several ``recognitions`` of the same audio.

    Raises:
        ValueError: there are no recognitions.
    """
    if not recognitions:
        raise ValueError("recognitions: got none, needs one or more")
    motions = [viseme_motion(phones, frames, expression_names, strength=strength) for phones in recognitions]
    return np.asarray(np.mean(motions, axis=0, dtype=np.float64))


def viseme_shares(recognitions: Sequence[Phones], frames: int) -> NDArray[np.float64]:
    """Smoothed share (T, V) of each viseme in each frame, minus its mean over the clip.

    The shares are averaged over several ``recognitions`` of the same audio.
    """
    features = np.mean([phone_features(phones, frames) for phones in recognitions], axis=0, dtype=np.float64)
    smooth = gaussian_filter1d(features @ _VISEME_SHARES, _SMOOTHING_FRAMES, axis=0)
    return np.asarray(smooth - smooth.mean(axis=0))


def _block_motion(
    phones: Phones, times: NDArray[np.floating], expression_names: tuple[str, ...]
) -> NDArray[np.float64]:
    """Expression and jaw (T, E + 3) at the ``times`` (T,) of one block."""
    near = slice(0, len(phones.names))
    if len(times) == _BLOCK:
        first = int(np.searchsorted(phones.ends, times[0] - _REACH_S))
        near = slice(first, int(np.searchsorted(phones.starts, times[-1] + _REACH_S)))
    visemes = [VISEMES_OF_PHONES[name] for name in phones.names[near]]
    end = float(phones.ends[near][-1]) if len(visemes) else 0.0
    segments = viseme_segments(visemes, phones.starts[near], end, [1.0] * len(visemes))
    actions = speech_actions(segments, times, NEUTRAL_STYLE, strength=1.0)
    jaw = actions.pop("jaw")
    zeros = np.zeros(len(times))
    exp = np.stack([actions.get(name, zeros) for name in expression_names], axis=1)
    return np.concatenate([exp, jaw], axis=1)
