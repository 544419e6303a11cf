"""Phone recognition: deterministic, robust to any audio, and close to the spoken phones."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoken_sentences import RATE, VOICES, spoken

from occlufacediff.speech import recognition as module
from occlufacediff.speech.phones import PHONES, SILENCE, Phones, phone_features
from occlufacediff.speech.recognition import recognise_phones
from occlufacediff.speech.viseme_rules import VISEMES_OF_PHONES
from occlufacediff.speech.visemes import VISEMES, visemes_of


def visemes_at(sounds: list[tuple[str, ...]], starts: np.ndarray, end: float, times: np.ndarray) -> np.ndarray:
    """Viseme (T,) at the ``times``; the visemes of a sound share its duration equally."""
    place = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, len(sounds) - 1)
    ends = np.append(starts, end)[1:]
    part = (times - starts[place]) / np.maximum(ends[place] - starts[place], 1e-9)
    names = [
        sounds[k][min(int(share * len(sounds[k])), len(sounds[k]) - 1)] for k, share in zip(place, part, strict=True)
    ]
    return np.array(names)


def test_recognised_visemes_match_the_spoken_ones() -> None:
    accuracy = []
    for number in range(len(VOICES)):
        utterance, waveform = spoken(number)
        phones = recognise_phones(waveform)
        end = len(waveform) / RATE
        times = np.arange(0.005, end, 0.01)
        true = visemes_at([visemes_of(name) for name in utterance.phonemes], utterance.starts, end, times)
        found = visemes_at([VISEMES_OF_PHONES[name] for name in phones.names], phones.starts, end, times)
        accuracy.append(np.mean(true == found))
    # Chance is below 0.1. Measured over 16 sentences of eight voices: 0.46.
    assert np.mean(accuracy) > 0.33


def test_recognition_is_bit_identical_and_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    waveform = spoken(0)[1]
    one = recognise_phones(waveform)
    recognise_phones(spoken(1)[1])
    again = recognise_phones(waveform.copy())
    assert again.names == one.names
    for name in ("starts", "ends"):
        assert getattr(again, name).tobytes() == getattr(one, name).tobytes()
    assert capfd.readouterr() == ("", "")


def test_recognition_does_not_depend_on_the_level() -> None:
    waveform = spoken(0)[1]
    loud, quiet = (phone_features(recognise_phones(one), 65) for one in (waveform, 0.01 * waveform))
    assert (loud.argmax(axis=1) == quiet.argmax(axis=1)).mean() > 0.9


@pytest.mark.parametrize(
    "waveform",
    [
        np.zeros(0, np.float32),
        np.zeros(1, np.float32),
        np.ones(300, np.float32),
        np.zeros(48_000, np.float32),
        np.full(16_000, 0.5, np.float32),
        1e-6 * np.sin(np.arange(48_000)),
        np.random.default_rng(0).normal(0, 0.1, 48_000),
    ],
    ids=["empty", "one", "short", "zeros", "constant", "faint", "noise"],
)
def test_audio_without_speech_gives_silence(waveform: np.ndarray) -> None:
    phones = recognise_phones(waveform)
    assert set(phones.names) <= {SILENCE}
    assert (phone_features(phones, 10)[:, -1] == 1).all()


def test_half_a_second_of_speech_is_recognised() -> None:
    phones = recognise_phones(spoken(0)[1][8_000:16_000])
    assert set(phones.names) - {SILENCE}
    assert phones.ends[-1] == 0.5


def test_long_audio_is_cut_where_it_is_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = np.pad(spoken(0)[1], (4_000, 4_000))
    long = np.tile(sentence, 4)
    whole = phone_features(recognise_phones(long), 300)
    monkeypatch.setattr(module, "_MAX_PIECE_S", 5.0)
    cuts = module._piece_bounds(long)
    assert len(cuts) > 3
    assert max(np.diff(cuts)) <= 5 * RATE
    assert all(np.abs(long[cut - 160 : cut + 160]).max() < 0.02 for cut in cuts[1:-1])
    phones = recognise_phones(long)
    assert (phones.starts[1:] == phones.ends[:-1]).all()
    assert (np.diff(phones.starts) > 0).all()
    assert (phone_features(phones, 300).argmax(axis=1) == whole.argmax(axis=1)).mean() > 0.7


def test_a_failed_search_is_repeated_with_wider_beams(monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = spoken(0)[1]
    expected = recognise_phones(waveform)
    wide = module._PHONE_BEAMS
    monkeypatch.setattr(module, "_PHONE_BEAMS", ((1e-3, 1e-3),))
    lost = recognise_phones(waveform)
    assert max(lost.ends - lost.starts) > 1.0
    monkeypatch.setattr(module, "_PHONE_BEAMS", ((1e-3, 1e-3), *wide))
    assert recognise_phones(waveform).names == expected.names


@pytest.mark.parametrize("wrong", [np.zeros((2, 100)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_invalid_waveforms_are_rejected(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="waveform: got"):
        recognise_phones(wrong)


@given(
    st.lists(st.tuples(st.sampled_from(PHONES), st.floats(0.01, 0.4)), max_size=12),
    st.integers(0, 40),
    st.sampled_from([25, 100]),
)
def test_features_are_the_shares_of_frames(sounds: list[tuple[str, float]], frames: int, fps: int) -> None:
    ends = np.cumsum([length for _, length in sounds])
    starts = np.append(0.0, ends)[: len(ends)]
    phones = Phones(tuple(name for name, _ in sounds), starts, ends)
    features = phone_features(phones, frames, fps=fps)
    assert features.shape == (frames, len(PHONES))
    np.testing.assert_allclose(features.sum(axis=1), 1, atol=1e-5)
    for frame in range(frames):
        low, high = (frame - 0.5) / fps, (frame + 0.5) / fps
        for name in {name for name, _ in sounds} - {SILENCE}:
            shared = sum(
                max(0.0, min(high, end) - max(low, start))
                for (one, _), start, end in zip(sounds, starts, ends, strict=True)
                if one == name
            )
            assert features[frame, PHONES.index(name)] == pytest.approx(shared * fps, abs=1e-5)


def test_every_phone_has_visemes() -> None:
    assert len(PHONES) == 40
    assert set(VISEMES_OF_PHONES) == set(PHONES)
    assert {name for parts in VISEMES_OF_PHONES.values() for name in parts} <= set(VISEMES)
