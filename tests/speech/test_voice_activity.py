"""Voice activity detection separates speech from silence, noise, hum and music."""

from __future__ import annotations

import numpy as np
import pytest
from spoken_sentences import RATE, notes, seconds, spoken

from occlufacediff.speech.voice_activity import detect_voice_activity

TIMES = seconds(6.0)
NOISE = np.random.default_rng(0).normal(size=len(TIMES))
COLOURED = np.fft.irfft(np.fft.rfft(NOISE) / np.sqrt(np.maximum(np.fft.rfftfreq(len(NOISE), 1 / RATE), 30)), len(NOISE))
VIBRATO = sum(np.sin(2 * np.pi * 300 * k * (TIMES + 0.002 * np.sin(11 * np.pi * TIMES))) / k for k in range(1, 9))


def kind(waveform: np.ndarray) -> str:
    return detect_voice_activity(waveform, silence_db=-45.0).kind


@pytest.mark.parametrize(
    "sound",
    [
        0.05 * NOISE,
        COLOURED / COLOURED.std() * 0.05,
        0.05 * NOISE * (1 + np.sin(2 * np.pi * 4 * TIMES)),
        0.1 * np.sin(2 * np.pi * 50 * TIMES) + 0.05 * np.sin(2 * np.pi * 150 * TIMES) + 0.002 * NOISE,
        0.1 * np.sin(2 * np.pi * 440 * TIMES),
        np.where(np.arange(len(TIMES)) % 4000 == 0, 0.8, 0.0),
        np.ones(len(TIMES)),
        0.1 * VIBRATO,
        notes(60, chord=True),
        notes(120, chord=True),
        notes(240, chord=False),
        notes(400, chord=False),
    ],
    ids=[
        "white",
        "pink",
        "beating",
        "hum",
        "tone",
        "clicks",
        "constant",
        "vibrato",
        "slow",
        "chords",
        "arpeggio",
        "fast",
    ],
)
def test_noise_and_music_are_not_speech(sound: np.ndarray) -> None:
    assert kind(sound) == "no speech"


@pytest.mark.parametrize("number", [0, 1, 2])
def test_detects_speech_alone_and_over_noise_and_music(number: int) -> None:
    waveform = spoken(number)[1]
    power = waveform.std() * 10 ** (-10 / 20)
    music = np.resize(notes(120, chord=True), len(waveform))
    assert kind(waveform) == "speech"
    assert kind(0.05 * waveform / np.abs(waveform).max()) == "speech"
    assert kind(waveform[8_000:24_000]) == "speech"
    assert kind(waveform + power * np.resize(NOISE, len(waveform))) == "speech"
    assert kind(waveform + power * music / music.std()) == "speech"


def test_detects_a_sentence_after_music() -> None:
    found = detect_voice_activity(np.concatenate([notes(120, chord=True), spoken(0)[1]]), silence_db=-45.0)
    assert found.kind == "speech"
    assert 0.1 < found.share < 0.8
    assert found.change > 0.31


@pytest.mark.parametrize("count", [0, 1, 300, 48_000])
def test_detects_silence(count: int) -> None:
    found = detect_voice_activity(np.zeros(count, np.float32), silence_db=-45.0)
    assert (found.kind, found.share) == ("silence", 0.0)
    assert kind(1e-4 * np.resize(spoken(0)[1], 48_000)) == "silence"


def test_very_short_audio_is_not_speech() -> None:
    assert kind(spoken(0)[1][10_000:11_000]) == "no speech"
    with pytest.raises(ValueError, match="waveform: got"):
        detect_voice_activity(np.array([np.nan]), silence_db=-45.0)


def test_a_burst_that_only_the_level_of_the_whole_waveform_shows_is_not_silence() -> None:
    waveform = np.zeros(64_160, np.float32)
    for start in range(15_800, 16_400, 40):
        waveform[start : start + 320] = 0.0012
        found = detect_voice_activity(waveform, silence_db=-60.0)
        assert found.kind == ("no speech" if found.level_db >= -60 else "silence")
        waveform[:] = 0
