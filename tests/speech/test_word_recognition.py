"""Word recognition: deterministic, robust to any audio, and close to the spoken phones."""

from __future__ import annotations

import numpy as np
import pytest
from spoken_sentences import RATE, VOICES, spoken
from test_phone_recognition import visemes_at

from occlufacediff.speech.phones import SILENCE, Phones
from occlufacediff.speech.recognition import recognise_words, word_decoder
from occlufacediff.speech.viseme_rules import VISEMES_OF_PHONES, mean_viseme_motion, viseme_shares
from occlufacediff.speech.visemes import visemes_of


def test_recognised_visemes_match_the_spoken_ones() -> None:
    accuracy = []
    for number in range(len(VOICES)):
        utterance, waveform = spoken(number)
        phones = recognise_words(waveform)
        end = len(waveform) / RATE
        times = np.arange(0.005, end, 0.01)
        true = visemes_at([visemes_of(name) for name in utterance.phonemes], utterance.starts, end, times)
        found = visemes_at([VISEMES_OF_PHONES[name] for name in phones.names], phones.starts, end, times)
        accuracy.append(np.mean(true == found))
    # Chance is below 0.1. Measured: 0.27 (phones: 0.46). Words of synthetic voices are harder than those of real ones.
    assert np.mean(accuracy) > 0.18


def test_recognition_is_bit_identical_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    waveform = spoken(0)[1]
    one = recognise_words(waveform)
    recognise_words(spoken(1)[1])
    again = recognise_words(waveform.copy())
    assert again.names == one.names
    assert again.starts.tobytes() == one.starts.tobytes()
    assert one.ends[-1] == len(waveform) / RATE
    assert (one.starts[1:] == one.ends[:-1]).all()
    assert capfd.readouterr() == ("", "")


def _chord() -> np.ndarray:
    """Two seconds of a chord."""
    time = np.arange(2 * RATE) / RATE
    return np.asarray(0.2 * sum(np.sin(2 * np.pi * pitch * time) for pitch in (440, 554, 659)), np.float32)


def test_the_kept_recogniser_gives_what_a_new_one_gives() -> None:
    """After speech, after audio without speech and after words that cannot be aligned."""
    waveform = spoken(0)[1]
    word_decoder.cache_clear()
    new = recognise_words(waveform)
    for earlier in (spoken(1)[1], np.full(16_000, 0.5, np.float32), _chord(), 0.1 * spoken(2)[1]):
        recognise_words(earlier)
        again = recognise_words(waveform)
        assert (again.names, again.starts.tobytes()) == (new.names, new.starts.tobytes())


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros(0, np.float32),
        np.ones(300, np.float32),
        np.zeros(48_000, np.float32),
        np.full(16_000, 0.5, np.float32),
    ],
    ids=["empty", "short", "zeros", "constant"],
)
def test_audio_without_speech_gives_silence(waveform: np.ndarray) -> None:
    assert set(recognise_words(waveform).names) <= {SILENCE}


def test_words_that_cannot_be_aligned_are_discarded() -> None:
    # The chord is recognised as a word that cannot be aligned: PocketSphinx raises an error.
    phones = recognise_words(_chord())
    assert set(phones.names) == {SILENCE} and phones.ends[-1] == 2.0


def test_noise_gives_finite_motion() -> None:
    noise = np.random.default_rng(0).normal(0, 0.1, 48_000)
    phones = recognise_words(noise)
    assert phones.ends[-1] == 3
    assert np.isfinite(mean_viseme_motion([phones], 75, ("mouthClose",), strength=np.ones(75))).all()


def test_missing_recognitions_are_rejected() -> None:
    with pytest.raises(ValueError, match="recognitions: got none"):
        mean_viseme_motion([], 10, ("mouthClose",), strength=np.ones(10))


def test_two_recognitions_are_averaged() -> None:
    one, other = (Phones((name, "SIL"), np.array([0.0, 1.0]), np.array([1.0, 2.0])) for name in ("AA", "UW"))
    names, loud = ("mouthClose", "mouthPucker"), np.linspace(0.5, 1, 50)
    each = [mean_viseme_motion([phones], 50, names, strength=loud) for phones in (one, other)]
    np.testing.assert_allclose(mean_viseme_motion([one, other], 50, names, strength=loud), np.mean(each, axis=0))
    shares = [viseme_shares(recognitions, 50) for recognitions in ([one], [other], [one, other])]
    np.testing.assert_allclose(shares[2], 0.5 * (shares[0] + shares[1]), atol=1e-9)


def test_the_share_of_a_viseme_is_high_during_its_phone() -> None:
    edges = np.array([0.0, 1.0, 1.4, 3.0])
    shares = viseme_shares([Phones(("SIL", "AA", "SIL"), edges[:-1], edges[1:])], 75)
    np.testing.assert_allclose(shares.mean(axis=0), 0, atol=1e-9)
    risen = shares - shares[0]
    (sounding,) = np.flatnonzero(risen.max(axis=0) > 0.5)
    assert (risen[27:34, sounding] > 0.8).all()
    assert (risen[[21, 39], sounding] < 0.05).all()
    np.testing.assert_allclose(risen.sum(axis=1), 0, atol=1e-9)  # the shares of all visemes have a constant sum
