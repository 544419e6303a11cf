"""Viseme letters: one letter for each group of sounds that look alike on the lips, and the letters of phonemes.

The grouping is that of SPECTRE (arXiv 2207.11094), after Amazon Polly's table of English visemes. Phonemes are those of
espeak-ng. `CMU_PHONES` gives the phones of PocketSphinx's acoustic model, with which `alignment` finds their times.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from occlufacediff.media.rates import FPS

#: The letter of silence, and all letters: the classes of the viseme reader.
SILENCE = "_"
LETTERS = (SILENCE, *"ptSTfksriu@aeEoO")

#: Letter to its phonemes. Marks of stress and of variants are ignored.
_PHONEMES: dict[str, tuple[str, ...]] = {
    "p": ("p", "b", "m"),
    "t": ("t", "d", "l", "n", "t[", "?"),
    "S": ("S", "tS", "dZ", "Z"),
    "T": ("T", "D"),
    "f": ("f", "v"),
    "k": ("k", "g", "h", "N", "x"),
    "s": ("s", "z"),
    "r": ("r",),
    "i": ("i", "i:", "I", "j", ";"),
    "u": ("u", "u:", "U", "w"),
    "@": ("@", "a#", "3"),
    "a": ("a", "aa", "A", "A:", "0", "aI", "aU"),
    "e": ("eI",),
    "E": ("E", "V", "3:", "IR", "VR"),
    "o": ("oU",),
    "O": ("O", "O:", "OI"),
    SILENCE: ("_", "_:", "_|"),
}
_LETTERS: dict[str, str] = {
    **{phoneme: letter for letter, phonemes in _PHONEMES.items() for phoneme in phonemes},
    # Two letters each: diphthongs that end in a rhotic vowel, and syllabic l.
    "A@": "ar",
    "O@": "Or",
    "o@": "Or",
    "e@": "Er",
    "U@": "ur",
    "i@": "i@",
    "aI@": "a@",
    "@L": "@t",
}
#: Phoneme to its phones in the acoustic model.
CMU_PHONES: dict[str, tuple[str, ...]] = {
    **{phoneme: (phoneme.upper(),) for phoneme in "pbtdkgfvszmnlrw"},
    "t[": ("T",), "?": ("T",), "S": ("SH",), "Z": ("ZH",), "tS": ("CH",), "dZ": ("JH",), "T": ("TH",), "D": ("DH",),
    "h": ("HH",), "x": ("K",), "N": ("NG",), "j": ("Y",), ";": ("Y",), "i": ("IY",), "i:": ("IY",), "I": ("IH",),
    "u": ("UW",), "u:": ("UW",), "U": ("UH",), "@": ("AH",), "a#": ("AH",), "3": ("ER",), "a": ("AE",), "aa": ("AE",),
    "A": ("AA",), "A:": ("AA",), "0": ("AA",), "aI": ("AY",), "aU": ("AW",), "eI": ("EY",), "E": ("EH",), "V": ("AH",),
    "3:": ("ER",), "IR": ("ER",), "VR": ("ER",), "oU": ("OW",), "O": ("AO",), "O:": ("AO",), "OI": ("OY",),
    "A@": ("AA", "R"), "O@": ("AO", "R"), "o@": ("AO", "R"), "e@": ("EH", "R"), "U@": ("UH", "R"), "i@": ("IH", "R"),
    "aI@": ("AY", "ER"), "@L": ("AH", "L"),
}  # fmt: skip
_STRESS_MARKS = "',=%"
_VARIANT_MARKS = "#-2345!"


def plain_phoneme(phoneme: str) -> str | None:
    """The phoneme without marks of stress and variant; None if it has no letter."""
    name = phoneme.lstrip(_STRESS_MARKS)
    if name in _LETTERS:
        return name
    name = name.rstrip(_VARIANT_MARKS)
    return name if name in _LETTERS else None


def letters_of(phoneme: str) -> str:
    """Letters of one phoneme; empty for an unknown one, as in SPECTRE's evaluation."""
    name = plain_phoneme(phoneme)
    return "" if name is None else _LETTERS[name]


def viseme_text(words: Iterable[Sequence[str]]) -> str:
    """Words of phonemes as words of viseme letters, with one space between words; silence is dropped."""
    spelled = ("".join(letters_of(phoneme) for phoneme in word).replace(SILENCE, "") for word in words)
    return " ".join(word for word in spelled if word)


def frame_letters(
    phonemes: Sequence[str], starts: NDArray[np.floating], end: float, frames: int, fps: float = FPS
) -> NDArray[np.int64]:
    """Number in `LETTERS` of the viseme at the time i / ``fps`` of each frame (T,).

    Time before the first phoneme and after ``end`` is silence. The letters of one phoneme share its duration equally.
    An unknown phoneme continues the letter before it.

    Args:
        phonemes: (K,) consecutive phonemes.
        starts: (K,) their starts in seconds, rising.
        end: end of the last one in seconds.
        frames: T.
        fps: frames per second.
    """
    letters, begins = [0], [-np.inf]
    bounds = np.append(np.asarray(starts, dtype=np.float64), end)
    for phoneme, first, last in zip(phonemes, bounds[:-1], bounds[1:], strict=True):
        parts = letters_of(phoneme)
        for number, letter in enumerate(parts):
            letters.append(LETTERS.index(letter))
            begins.append(first + (last - first) * number / len(parts))
    letters.append(0)
    begins.append(float(end))
    times = np.arange(frames) / fps
    return np.asarray(letters)[np.searchsorted(np.asarray(begins), times, side="right") - 1]


def sequence_of(letters: NDArray[np.integer]) -> str:
    """The sequence of letters in frames (T,) of numbers: repetitions are joined, silence is dropped."""
    if len(letters) == 0:
        return ""
    changes = np.flatnonzero(np.diff(letters, prepend=-1))
    return "".join(LETTERS[number] for number in letters[changes] if LETTERS[number] != SILENCE)


def joined(letters: str) -> str:
    """Letters without the repetitions of a neighbour, as `sequence_of` gives them."""
    return "".join(letter for letter, before in zip(letters, " " + letters, strict=False) if letter != before)
