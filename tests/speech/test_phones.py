"""Phones heard: the same for the same sound, sensible for any, and like what was spoken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from spoken_sentences import RATE, VOICES, spoken

from occlufacediff.speech import phones as module
from occlufacediff.speech.phones import PHONES, SILENCE, Phones, phone_features, recognise
from occlufacediff.speech.rules import VISEMES_OF_PHONES
from occlufacediff.speech.visemes import VISEMES, visemes_of


def visemes_at(sounds: list[tuple[str, ...]], starts: np.ndarray, end: float, times: np.ndarray) -> np.ndarray:
    """Viseme (T,) at the times, sounds split among theirs in equal parts."""
    place = np.clip(np.searchsorted(starts, times, side="right") - 1, 0, len(sounds) - 1)
    ends = np.append(starts, end)[1:]
    part = (times - starts[place]) / np.maximum(ends[place] - starts[place], 1e-9)
    names = [
        sounds[k][min(int(share * len(sounds[k])), len(sounds[k]) - 1)] for k, share in zip(place, part, strict=True)
    ]
    return np.array(names)


def test_what_is_heard_is_like_what_was_spoken() -> None:
    right = []
    for number in range(len(VOICES)):
        said, waveform = spoken(number)
        heard = recognise(waveform)
        end = len(waveform) / RATE
        times = np.arange(0.005, end, 0.01)
        true = visemes_at([visemes_of(name) for name in said.phonemes], said.starts, end, times)
        found = visemes_at([VISEMES_OF_PHONES[name] for name in heard.names], heard.starts, end, times)
        right.append(np.mean(true == found))
    # Chance is below 0.1; 0.46 was measured over 16 sentences of eight voices.
    assert np.mean(right) > 0.33


def test_same_sound_same_bytes_and_nothing_on_the_console(capfd: pytest.CaptureFixture[str]) -> None:
    waveform = spoken(0)[1]
    one = recognise(waveform)
    recognise(spoken(1)[1])
    again = recognise(waveform.copy())
    assert again.names == one.names
    for name in ("starts", "ends"):
        assert getattr(again, name).tobytes() == getattr(one, name).tobytes()
    assert capfd.readouterr() == ("", "")


def test_level_does_not_matter() -> None:
    waveform = spoken(0)[1]
    loud, quiet = (phone_features(recognise(one), 65) for one in (waveform, 0.01 * waveform))
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
def test_no_speech_is_silence(waveform: np.ndarray) -> None:
    heard = recognise(waveform)
    assert set(heard.names) <= {SILENCE}
    assert (phone_features(heard, 10)[:, -1] == 1).all()


def test_half_a_second_is_enough() -> None:
    heard = recognise(spoken(0)[1][8_000:16_000])
    assert set(heard.names) - {SILENCE}
    assert heard.ends[-1] == 0.5


def test_long_sounds_are_cut_where_they_are_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    sentence = np.pad(spoken(0)[1], (4_000, 4_000))
    long = np.tile(sentence, 4)
    whole = phone_features(recognise(long), 300)
    monkeypatch.setattr(module, "_PIECE_S", 5.0)
    cuts = module._pieces(long)
    assert len(cuts) > 3
    assert max(np.diff(cuts)) <= 5 * RATE
    assert all(np.abs(long[cut - 160 : cut + 160]).max() < 0.02 for cut in cuts[1:-1])
    heard = recognise(long)
    assert (heard.starts[1:] == heard.ends[:-1]).all()
    assert (np.diff(heard.starts) > 0).all()
    assert (phone_features(heard, 300).argmax(axis=1) == whole.argmax(axis=1)).mean() > 0.7


def test_a_search_that_lost_its_way_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    waveform = spoken(0)[1]
    right = recognise(waveform)
    wide = module._BEAMS
    monkeypatch.setattr(module, "_BEAMS", ((1e-3, 1e-3),))
    lost = recognise(waveform)
    assert max(lost.ends - lost.starts) > 1.0
    monkeypatch.setattr(module, "_BEAMS", ((1e-3, 1e-3), *wide))
    assert recognise(waveform).names == right.names


@pytest.mark.parametrize("wrong", [np.zeros((2, 100)), np.array([0.0, np.nan]), np.array([np.inf])])
def test_what_is_no_waveform_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="waveform: got"):
        recognise(wrong)


@given(
    st.lists(st.tuples(st.sampled_from(PHONES), st.floats(0.01, 0.4)), max_size=12),
    st.integers(0, 40),
    st.sampled_from([25, 100]),
)
def test_features_are_shares_of_centred_frames(sounds: list[tuple[str, float]], frames: int, fps: int) -> None:
    ends = np.cumsum([length for _, length in sounds])
    starts = np.append(0.0, ends)[: len(ends)]
    heard = Phones(tuple(name for name, _ in sounds), starts, ends)
    features = phone_features(heard, frames, fps=fps)
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
