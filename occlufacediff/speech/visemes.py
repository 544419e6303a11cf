"""Viseme targets of lips and jaw, and the visemes of espeak-ng's English phonemes.

A channel is the opening of the jaw or a symmetric pair of facial actions. A viseme has one target per channel, reached
at its centre, and a weight against its neighbours: consonants made behind the lips have low weights and take the lip
shape of the neighbouring sounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

#: `jaw` is a share of the speaker's jaw opening in speech; the others are activations in [0, 1].
CHANNELS = ("jaw", "funnel", "pucker", "stretch", "smile", "upper_up", "lower_down", "shrug")
N_CHANNELS = len(CHANNELS)


@dataclass(frozen=True)
class Viseme:
    """Mouth shape of a sound.

    Attributes:
        targets: (N_CHANNELS,) channel values at the centre of the sound.
        weight: weight of the targets against those of neighbouring sounds.
        rounding_weight: the same for the channels of lip rounding.
        closure: 1 if the lips are pressed together.
        bite: 1 if the lower lip touches the upper teeth.
    """

    targets: tuple[float, ...]
    weight: float = 1.0
    rounding_weight: float = 1.0
    closure: float = 0.0
    bite: float = 0.0


def _viseme(
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
    "rest": _viseme(0.0, weight=1.2, rounding=1.0),
    "PBM": _viseme(0.18, weight=1.6, rounding=0.3, closure=1.0),
    "FV": _viseme(0.22, up=0.18, weight=1.4, rounding=0.4, bite=1.0),
    "TH": _viseme(0.36, stretch=0.1, up=0.15, down=0.3, weight=0.9, rounding=0.4),
    "TD": _viseme(0.28, stretch=0.12, up=0.12, down=0.3, weight=0.7, rounding=0.25),
    "L": _viseme(0.42, stretch=0.05, up=0.12, down=0.3, weight=0.7, rounding=0.25),
    "SZ": _viseme(0.14, stretch=0.3, smile=0.15, up=0.2, down=0.4, weight=1.3, rounding=0.5),
    "CH": _viseme(0.18, funnel=0.6, pucker=0.15, up=0.25, down=0.3, shrug=0.1, weight=1.3, rounding=1.4),
    "KG": _viseme(0.38, stretch=0.05, up=0.05, down=0.15, weight=0.5, rounding=0.15),
    "H": _viseme(0.45, down=0.1, weight=0.3, rounding=0.1),
    "R": _viseme(0.3, funnel=0.38, pucker=0.25, down=0.1, weight=0.9, rounding=1.1),
    "W": _viseme(0.2, funnel=0.2, pucker=0.95, weight=1.3, rounding=1.8),
    "J": _viseme(0.24, stretch=0.2, smile=0.3, up=0.1, down=0.2, weight=0.8, rounding=0.7),
    "i": _viseme(0.26, stretch=0.3, smile=0.42, up=0.18, down=0.25),
    "I": _viseme(0.42, stretch=0.2, smile=0.22, up=0.12, down=0.22),
    "E": _viseme(0.62, stretch=0.22, smile=0.18, up=0.2, down=0.32),
    "a": _viseme(0.85, stretch=0.25, smile=0.08, up=0.25, down=0.42, weight=1.2),
    "A": _viseme(1.0, up=0.15, down=0.32, weight=1.2),
    "O": _viseme(0.72, funnel=0.5, pucker=0.22, down=0.12, rounding=1.3),
    "V": _viseme(0.62, up=0.1, down=0.25),
    "@": _viseme(0.4, up=0.05, down=0.15, weight=0.7, rounding=0.5),
    "3": _viseme(0.4, funnel=0.28, pucker=0.12, down=0.15, rounding=0.9),
    "U": _viseme(0.34, funnel=0.25, pucker=0.5, rounding=1.3),
    "u": _viseme(0.24, funnel=0.2, pucker=0.85, rounding=1.6),
}

#: Phonemes of each viseme.
_PHONEMES_OF_VISEME = {
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
#: Phoneme (without stress and variant marks) to its consecutive visemes, which share the duration equally.
_VISEMES_OF_PHONEME: dict[str, tuple[str, ...]] = {
    **{phoneme: (viseme,) for viseme, phonemes in _PHONEMES_OF_VISEME.items() for phoneme in phonemes},
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
_STRESS_MARKS = "',=%"
_VARIANT_MARKS = "#-2345!"


def visemes_of(phoneme: str) -> tuple[str, ...]:
    """Visemes of one espeak-ng phoneme, with or without a stress mark.

    Raises:
        ValueError: the phoneme is unknown.
    """
    name = phoneme.lstrip(_STRESS_MARKS)
    if name in _VISEMES_OF_PHONEME:
        return _VISEMES_OF_PHONEME[name]
    plain = name.rstrip(_VARIANT_MARKS)
    if plain in _VISEMES_OF_PHONEME:
        return _VISEMES_OF_PHONEME[plain]
    raise ValueError(f"phoneme {phoneme!r} has no viseme; add it to occlufacediff/speech/visemes.py")


def has_visemes(phoneme: str) -> bool:
    """Return whether `visemes_of` accepts the phoneme."""
    name = phoneme.lstrip(_STRESS_MARKS)
    return name in _VISEMES_OF_PHONEME or name.rstrip(_VARIANT_MARKS) in _VISEMES_OF_PHONEME


def is_stressed(phoneme: str) -> bool:
    """Return whether the phoneme carries the primary stress of its word."""
    return phoneme.startswith("'")


@dataclass(frozen=True)
class Segments:
    """K consecutive visemes: ``start`` and ``end`` (K,) in seconds, ``targets`` (K, N_CHANNELS), the others (K,).

    The attributes other than times are those of `Viseme`.
    """

    names: tuple[str, ...]
    start: np.ndarray
    end: np.ndarray
    targets: np.ndarray
    weight: np.ndarray
    rounding_weight: np.ndarray
    closure: np.ndarray
    bite: np.ndarray


def phoneme_segments(phonemes: tuple[str, ...], starts: np.ndarray, end: float, *, stress: float) -> Segments:
    """Segments of an utterance of K phonemes with ``starts`` (K,), which ends at ``end`` seconds.

    Stressed vowels open the jaw more by the share ``stress``, all other phonemes less by half of it.
    """
    gains = [1.0 + stress if is_stressed(phoneme) else 1.0 - 0.5 * stress for phoneme in phonemes]
    return viseme_segments([visemes_of(phoneme) for phoneme in phonemes], starts, end, gains)


def viseme_segments(
    sounds: Sequence[tuple[str, ...]], starts: np.ndarray, end: float, gains: Sequence[float]
) -> Segments:
    """Segments of K sounds, with rest before the first and after the last.

    Args:
        sounds: (K,) the consecutive visemes of each sound, which share its duration equally.
        starts: (K,) seconds. A sound ends where the next one starts, the last one at ``end``.
        gains: (K,) factors on the jaw opening.
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
