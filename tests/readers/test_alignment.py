"""Forced alignment of generated speech, whose phonemes have known times."""

from __future__ import annotations

import numpy as np
import pytest

from occlufacediff.config.synthetic import SyntheticSettings
from occlufacediff.readers.alignment import align
from occlufacediff.readers.viseme_letters import frame_letters, joined, letters_of
from occlufacediff.synthetic.clip import generate_clip
from occlufacediff.synthetic.espeak import phonemes_of
from occlufacediff.synthetic.plan import PlannedClip

TEXT = "Three famous poets were awarded a huge prize."


@pytest.fixture(scope="module")
def clip():
    plan = PlannedClip("W901", "neutral", 1, 1, 5, TEXT)
    return generate_clip(plan, SyntheticSettings(), 4, fps=25, sample_rate=16000)


def test_phonemes_get_their_times(clip):
    words = phonemes_of(TEXT)
    found = align(clip.waveform, words)
    assert found is not None
    spoken = [phoneme for phoneme in found.phonemes if phoneme != "_"]
    assert "".join(map(letters_of, spoken)) == "".join(letters_of(phoneme) for word in words for phoneme in word)
    assert (np.diff(found.starts) >= 0).all()
    true = frame_letters(clip.phonemes, clip.phoneme_starts, len(clip.waveform) / 16000, len(clip.exp))
    agreement = (found.letters(len(clip.exp)) == true)[true > 0].mean()
    assert agreement > 0.7
    # Times matter: a shift by 0.2 s loses most frames.
    assert (np.roll(found.letters(len(clip.exp)), 5) == true)[true > 0].mean() < 0.4


def test_equal_audio_gives_equal_times(clip):
    first, second = (align(clip.waveform, phonemes_of(TEXT)) for _ in range(2))
    assert first is not None
    assert second is not None
    np.testing.assert_array_equal(first.starts, second.starts)


def test_silence_and_missing_words_have_no_times(clip):
    assert align(np.zeros(16000, np.float32), phonemes_of(TEXT)) is None
    assert align(clip.waveform, ()) is None
    assert align(clip.waveform, [("qq",)]) is None


def test_more_words_than_time_have_no_times():
    rng = np.random.default_rng(0)
    assert align(rng.standard_normal(1600).astype(np.float32), phonemes_of(TEXT)) is None


def test_a_waveform_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="finite"):
        align(np.array([0.0, np.nan]), phonemes_of(TEXT))


def test_words_of_a_text_are_pronounced():
    assert [joined("".join(map(letters_of, word))) for word in phonemes_of("Big pie, moon!")] == ["pik", "pa", "put"]
    assert phonemes_of("") == ()
