"""Phonemes of espeak-ng's English voices as targets of lips and jaw.

Channels are left-right pairs of facial actions driven together, and the jaw's opening. A target is the shape that the
sound wants at its middle; a weight says how much it insists (a consonant made behind the lips takes the lips of its
neighbours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

#: What a phoneme moves: `jaw` is a share of the speaker's speech opening, the rest activations in [0, 1].
CHANNELS = ("jaw", "funnel", "pucker", "stretch", "smile", "upper_up", "lower_down", "shrug")
N_CHANNELS = len(CHANNELS)


@dataclass(frozen=True)
class Viseme:
    """Targets a channel and how much the sound insists on them; `closure` presses the lips together, `bite` puts
    the lower lip to the upper teeth."""

    targets: tuple[float, ...]
    weight: float = 1.0
    rounding_weight: float = 1.0
    closure: float = 0.0
    bite: float = 0.0


def _v(
    jaw: float,
    *,
    funnel: float = 0.0,
    pucker: float = 0.0,
    stretch: float = 0.0,
    smile: float = 0.0,
    up: float = 0.0,
    down: float = 0.0,
    shrug: float = 0.0,
    weight: float = 1.0,
    rounding: float = 1.0,
    closure: float = 0.0,
    bite: float = 0.0,
) -> Viseme:
    return Viseme((jaw, funnel, pucker, stretch, smile, up, down, shrug), weight, rounding, closure, bite)


VISEMES: dict[str, Viseme] = {
    "rest": _v(0.0, weight=1.2, rounding=1.0),
    "PBM": _v(0.18, weight=1.6, rounding=0.3, closure=1.0),
    "FV": _v(0.22, up=0.18, weight=1.4, rounding=0.4, bite=1.0),
    "TH": _v(0.36, stretch=0.1, up=0.15, down=0.3, weight=0.9, rounding=0.4),
    "TD": _v(0.28, stretch=0.12, up=0.12, down=0.3, weight=0.7, rounding=0.25),
    "L": _v(0.42, stretch=0.05, up=0.12, down=0.3, weight=0.7, rounding=0.25),
    "SZ": _v(0.14, stretch=0.3, smile=0.15, up=0.2, down=0.4, weight=1.3, rounding=0.5),
    "CH": _v(0.18, funnel=0.6, pucker=0.15, up=0.25, down=0.3, shrug=0.1, weight=1.3, rounding=1.4),
    "KG": _v(0.38, stretch=0.05, up=0.05, down=0.15, weight=0.5, rounding=0.15),
    "H": _v(0.45, down=0.1, weight=0.3, rounding=0.1),
    "R": _v(0.3, funnel=0.38, pucker=0.25, down=0.1, weight=0.9, rounding=1.1),
    "W": _v(0.2, funnel=0.2, pucker=0.95, weight=1.3, rounding=1.8),
    "J": _v(0.24, stretch=0.2, smile=0.3, up=0.1, down=0.2, weight=0.8, rounding=0.7),
    "i": _v(0.26, stretch=0.3, smile=0.42, up=0.18, down=0.25),
    "I": _v(0.42, stretch=0.2, smile=0.22, up=0.12, down=0.22),
    "E": _v(0.62, stretch=0.22, smile=0.18, up=0.2, down=0.32),
    "a": _v(0.85, stretch=0.25, smile=0.08, up=0.25, down=0.42, weight=1.2),
    "A": _v(1.0, up=0.15, down=0.32, weight=1.2),
    "O": _v(0.72, funnel=0.5, pucker=0.22, down=0.12, rounding=1.3),
    "V": _v(0.62, up=0.1, down=0.25),
    "@": _v(0.4, up=0.05, down=0.15, weight=0.7, rounding=0.5),
    "3": _v(0.4, funnel=0.28, pucker=0.12, down=0.15, rounding=0.9),
    "U": _v(0.34, funnel=0.25, pucker=0.5, rounding=1.3),
    "u": _v(0.24, funnel=0.2, pucker=0.85, rounding=1.6),
}

#: Phonemes that look alike, by viseme.
_ALIKE = {
    "PBM": ("p", "b", "m"),
    "FV": ("f", "v"),
    "TH": ("T", "D"),
    "TD": ("t", "d", "n", "t[", "?"),
    "L": ("l",),
    "SZ": ("s", "z"),
    "CH": ("S", "Z", "tS", "dZ"),
    "KG": ("k", "g", "N", "x"),
    "H": ("h",),
    "R": ("r",),
    "W": ("w",),
    "J": ("j", ";"),
    "i": ("i", "i:"),
    "I": ("I",),
    "E": ("E",),
    "a": ("a", "aa"),
    "A": ("A:", "A", "0"),
    "O": ("O", "O:"),
    "V": ("V",),
    "@": ("@", "a#"),
    "3": ("3", "3:", "IR", "VR"),
    "U": ("U",),
    "u": ("u", "u:"),
    "rest": ("_", "_:", "_|"),
}
#: Phoneme (without stress marks and variant signs) to the visemes it goes through, in equal parts.
_PHONEMES: dict[str, tuple[str, ...]] = {
    **{phoneme: (viseme,) for viseme, phonemes in _ALIKE.items() for phoneme in phonemes},
    "@L": ("@", "L"),
    "A@": ("A", "R"),
    "O@": ("O", "3"),
    "o@": ("O", "3"),
    "e@": ("E", "3"),
    "U@": ("U", "3"),
    "i@": ("i", "@"),
    "aI": ("a", "I"),
    "aI@": ("a", "I", "@"),
    "aU": ("a", "U"),
    "eI": ("E", "i"),
    "oU": ("O", "u"),
    "OI": ("O", "i"),
}
_STRESS = "',=%"
_VARIANT = "#-2345!"


def visemes_of(phoneme: str) -> tuple[str, ...]:
    """Visemes of one espeak-ng phoneme, with or without stress mark.

    Raises:
        ValueError: no English phoneme of that name is known.
    """
    name = phoneme.lstrip(_STRESS)
    if name in _PHONEMES:
        return _PHONEMES[name]
    plain = name.rstrip(_VARIANT)
    if plain in _PHONEMES:
        return _PHONEMES[plain]
    raise ValueError(f"phoneme {phoneme!r} has no viseme; add it to occlufacediff/speech/visemes.py")


def has_visemes(phoneme: str) -> bool:
    """Whether `visemes_of` knows the phoneme."""
    name = phoneme.lstrip(_STRESS)
    return name in _PHONEMES or name.rstrip(_VARIANT) in _PHONEMES


def is_stressed(phoneme: str) -> bool:
    """Whether the phoneme carries the main stress of its word."""
    return phoneme.startswith("'")


@dataclass(frozen=True)
class Segments:
    """Visemes in time, all arrays over K segments: seconds, (K, N_CHANNELS) targets, and what the sound insists on."""

    names: tuple[str, ...]
    start: np.ndarray
    end: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    rounding_weight: np.ndarray
    closure: np.ndarray
    bite: np.ndarray


def segments_of(phonemes: tuple[str, ...], starts: np.ndarray, end: float, *, stress: float) -> Segments:
    """Segments of an utterance that ends at ``end`` seconds; stressed vowels open by ``stress`` more, others less.

    Rest comes before the first sound and after the last.
    """
    gains = [1.0 + stress if is_stressed(phoneme) else 1.0 - 0.5 * stress for phoneme in phonemes]
    return timed([visemes_of(phoneme) for phoneme in phonemes], starts, end, gains)


def timed(sounds: Sequence[tuple[str, ...]], starts: np.ndarray, end: float, gains: Sequence[float]) -> Segments:
    """Segments of K sounds, each the visemes that it goes through in equal parts.

    Args:
        starts: (K,) seconds; a sound lasts until the next starts, the last until ``end``. Rest comes before and after.
        gains: (K,) factors on the jaw's opening.
    """
    names: list[str] = ["rest"]
    begins = [min(-1.0, float(starts[0]) - 1.0) if len(starts) else -1.0]
    opens = [1.0]
    bounds = np.append(starts, end)
    for parts, gain, (begin, finish) in zip(sounds, gains, pairwise(bounds), strict=True):
        for number, name in enumerate(parts):
            names.append(name)
            begins.append(float(begin + (finish - begin) * number / len(parts)))
            opens.append(gain)
    names.append("rest")
    begins.append(float(end))
    opens.append(1.0)
    shapes = [VISEMES[name] for name in names]
    start = np.asarray(begins)
    targets = np.asarray([shape.targets for shape in shapes])
    targets[:, 0] *= np.asarray(opens)
    return Segments(
        names=tuple(names),
        start=start,
        end=np.append(start[1:], float(end) + 1.0),
        targets=targets,
        weight=np.asarray([shape.weight for shape in shapes]),
        rounding_weight=np.asarray([shape.rounding_weight for shape in shapes]),
        closure=np.asarray([shape.closure for shape in shapes]),
        bite=np.asarray([shape.bite for shape in shapes]),
    )
