"""Columns of sound features, for those who read them: nothing here needs the recogniser."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

SILENCE = "SIL"
#: Phones by their CMU names, and silence last: the columns of `phones.phone_features`.
PHONES = (
    "AA", "AE", "AH", "AO", "AW", "AY", "B", "CH", "D", "DH", "EH", "ER", "EY", "F", "G", "HH", "IH", "IY", "JH", "K",
    "L", "M", "N", "NG", "OW", "OY", "P", "R", "S", "SH", "T", "TH", "UH", "UW", "V", "W", "Y", "Z", "ZH", SILENCE,
)  # fmt: skip
#: Bands of the spectrum before them in `features.sound_features`: formants show, single harmonics do not, so that
#: voices differ less.
BANDS = 20
#: All columns of `features.sound_features`.
WIDTH = BANDS + len(PHONES)


def after_the_end(sound: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row (columns,) that stands for times after the end of a clip's sound (rows, columns), log-mel or with phones.

    It is the least value of the sound; of phones, silence and nothing else.
    """
    if sound.shape[1] != WIDTH:
        return np.full(sound.shape[1], sound.min(), sound.dtype)
    row = np.zeros(WIDTH, sound.dtype)
    row[:BANDS] = sound[:, :BANDS].min()
    row[BANDS + PHONES.index(SILENCE)] = 1
    return row
