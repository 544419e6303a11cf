"""Columns of sound features, for those who read them: nothing here needs the recogniser."""

from __future__ import annotations

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
