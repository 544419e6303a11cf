"""Sentences synthesised by espeak-ng at 16 kHz, and audio without speech."""

from __future__ import annotations

from functools import cache

import numpy as np

from occlufacediff.synthetic.espeak import Utterance, speak
from occlufacediff.synthetic.speech import resample

RATE = 16_000
VOICES = ("en-us+m3", "en-us+f2", "en-gb-x-rp+m7")


@cache
def spoken(number: int) -> tuple[Utterance, np.ndarray]:
    """A sentence in voice ``number``, and its waveform (N,)."""
    text = "Move that heavy purple sofa over by the window."
    one = speak(text, VOICES[number], words_per_minute=150, pitch=50, pitch_range=50, seed=1)
    return one, resample(one.samples, one.rate, RATE)


def seconds(length: float) -> np.ndarray:
    return np.arange(int(length * RATE)) / RATE


def notes(per_minute: float, *, chord: bool, length: float = 6.0, seed: int = 0) -> np.ndarray:
    """Plucked notes or chords (N,) of a major scale."""
    rng = np.random.default_rng(seed)
    sound = np.zeros(int(length * RATE))
    for begin in np.arange(0, length, 60 / per_minute):
        times = seconds(min(120 / per_minute, length - begin))
        root = int(rng.integers(0, 7))
        for step in (root, root + 2, root + 4) if chord else (root,):
            pitch = 220 * 2 ** ((0, 2, 4, 5, 7, 9, 11)[step % 7] / 12 + step // 7)
            partials = sum(np.sin(2 * np.pi * pitch * k * times) / k for k in range(1, 9))
            first = int(begin * RATE)
            sound[first : first + len(times)] += partials * np.exp(-times / 0.5) * np.minimum(times / 0.01, 1)
    return 0.1 * sound / np.abs(sound).max()
