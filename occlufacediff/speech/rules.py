"""Phones to the motion of lips and jaw by rules: the generator's visemes and co-articulation, with neutral habits."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.rates import FPS
from occlufacediff.speech.phones import Phones
from occlufacediff.speech.viseme_curves import Style, speech_actions
from occlufacediff.speech.visemes import timed

Float = NDArray[np.float32]

#: Habits of nobody in particular: the means of the synthetic speakers'.
NEUTRAL_STYLE = Style(
    opening=0.21, lips=1.0, rounding=1.0, closure=0.95, stress=0.0, overlap=1.0, asymmetry=0.0, jaw_side=0.0
)
#: Frames of a long sound that are moved at once, and for how many seconds a phone is felt, at the very most: what
#: frames and phones take together would else grow with the square of its length.
_BLOCK, _FELT_S = 500, 3.0
#: CMU phone to the visemes it goes through, in equal parts.
VISEMES_OF_PHONES: dict[str, tuple[str, ...]] = {
    "AA": ("A",), "AE": ("a",), "AH": ("V",), "AO": ("O",), "AW": ("a", "U"), "AY": ("a", "I"), "B": ("PBM",),
    "CH": ("CH",), "D": ("TD",), "DH": ("TH",), "EH": ("E",), "ER": ("3",), "EY": ("E", "i"), "F": ("FV",),
    "G": ("KG",), "HH": ("H",), "IH": ("I",), "IY": ("i",), "JH": ("CH",), "K": ("KG",), "L": ("L",), "M": ("PBM",),
    "N": ("TD",), "NG": ("KG",), "OW": ("O", "u"), "OY": ("O", "i"), "P": ("PBM",), "R": ("R",), "S": ("SZ",),
    "SH": ("CH",), "T": ("TD",), "TH": ("TH",), "UH": ("U",), "UW": ("u",), "V": ("FV",), "W": ("W",), "Y": ("J",),
    "Z": ("SZ",), "ZH": ("CH",), "SIL": ("rest",),
}  # fmt: skip


def rules_motion(
    phones: Phones,
    frames: int,
    expression_names: tuple[str, ...],
    *,
    strength: NDArray[np.floating] | None = None,
    offset_s: float = 0.0,
    fps: int = FPS,
) -> Float:
    """Expression and jaw (T, E + 3) that the phones ask for at frames i / ``fps``.

    Args:
        expression_names: (E,) actions of the head; those that speech does not move, or that the head lacks, rest. A
            head that knows none of them moves its jaw alone.
        strength: (T,) factor on all of it, at the frames of the sound; None stands for 1 throughout.
        offset_s: seconds by which the sound comes late.
    """
    heard_at = np.arange(frames) / fps + offset_s
    blocks = [heard_at[first : first + _BLOCK] for first in range(0, max(frames, 1), _BLOCK)]
    motion = np.concatenate([_moved(phones, times, expression_names) for times in blocks])
    if strength is not None:
        motion *= np.interp(heard_at, np.arange(len(strength)) / fps, strength)[:, None]
    return motion.astype(np.float32)


def _moved(phones: Phones, times: NDArray[np.floating], expression_names: tuple[str, ...]) -> NDArray[np.float64]:
    """Expression and jaw (T, E + 3) at some ``times`` (T,), of the phones that can be felt there."""
    near = slice(0, len(phones.names))
    if len(times) == _BLOCK:
        first = int(np.searchsorted(phones.ends, times[0] - _FELT_S))
        near = slice(first, int(np.searchsorted(phones.starts, times[-1] + _FELT_S)))
    sounds = [VISEMES_OF_PHONES[name] for name in phones.names[near]]
    end = float(phones.ends[near][-1]) if len(sounds) else 0.0
    segments = timed(sounds, phones.starts[near], end, [1.0] * len(sounds))
    actions = speech_actions(segments, times, NEUTRAL_STYLE, strength=1.0)
    jaw = actions.pop("jaw")
    rest = np.zeros(len(times))
    exp = np.stack([actions.get(name, rest) for name in expression_names], axis=1)
    return np.concatenate([exp, jaw], axis=1)
