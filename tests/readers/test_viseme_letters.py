"""Viseme letters: phonemes, frames and sequences, on cases computed by hand."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.readers.viseme_letters import (
    CMU_PHONES,
    LETTERS,
    frame_letters,
    joined,
    letters_of,
    plain_phoneme,
    sequence_of,
    viseme_text,
)
from occlufacediff.speech.phones import PHONES
from occlufacediff.speech.visemes import VISEMES, has_visemes
from occlufacediff.synthetic.espeak import phonemes_of


@pytest.mark.parametrize(
    ("phonemes", "letters"),
    [
        (("p", "b", "m"), "ppp"),
        (("t", "d", "l", "n", "t#"), "ttttt"),
        (("S", "tS", "dZ", "Z"), "SSSS"),
        (("k", "g", "h", "N"), "kkkk"),
        (("i:", "I2", "j"), "iii"),
        (("u:", "U", "w"), "uuu"),
        (("@", "3"), "@@"),
        (("A:", "aI", "aU", "0"), "aaaa"),
        (("eI", "E", "V", "3:", "oU", "O:", "OI"), "eEEEoOO"),
        (("A@", "e@"), "arEr"),
        (("qq",), ""),
    ],
)
def test_phonemes_have_the_letters_of_the_table(phonemes: tuple[str, ...], letters: str):
    assert "".join(map(letters_of, phonemes)) == letters


def test_stress_marks_are_ignored():
    assert letters_of("'eI") == letters_of(",eI") == "e"


def test_every_phoneme_with_a_letter_has_phones_of_the_acoustic_model():
    known = {name for name in ("p", "A@", "aI@", "3:", "@L", "N", ";") if plain_phoneme(name)}
    assert known <= set(CMU_PHONES)
    assert {phone for phones in CMU_PHONES.values() for phone in phones} <= set(PHONES)


def test_every_phoneme_of_the_synthetic_voices_has_a_letter():
    words = phonemes_of("The five young thieves measured joyful church choirs around here, poor judge.")
    phonemes = {phoneme for word in words for phoneme in word}
    assert all(letters_of(phoneme) for phoneme in phonemes if has_visemes(phoneme))
    assert "rest" in VISEMES
    assert LETTERS[0] == "_"


def test_words_are_spelled_in_visemes():
    assert viseme_text([("b", "aI"), ("_:",), ("m", "'u:", "v")]) == "pa puf"
    assert viseme_text([]) == ""


def test_frames_have_the_letter_at_their_time():
    # Frames at 0, 0.04, ..., 0.28 s; "p" from 0.05, "ar" from 0.10 to 0.20 s: "a" until 0.15, then "r".
    found = frame_letters(("p", "A@"), np.array([0.05, 0.10]), 0.20, 8)
    assert "".join(LETTERS[number] for number in found) == "__par___"


def test_an_unknown_phoneme_continues_the_letter_before_it():
    found = frame_letters(("p", "qq"), np.array([0.0, 0.04]), 0.12, 4)
    assert [LETTERS[number] for number in found] == ["p", "p", "p", "_"]


def test_a_sequence_has_neither_repetitions_nor_silence():
    numbers = np.array([LETTERS.index(letter) for letter in "__ppa_att_"])
    assert sequence_of(numbers) == "paat"
    assert sequence_of(np.zeros(0, int)) == ""
    assert joined("ppaatta") == "pata"
