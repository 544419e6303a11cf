"""Results do not depend on the blocks that they are computed in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from occlufacediff import frame_blocks
from occlufacediff.frame_blocks import blocks_of, by_blocks
from occlufacediff.media import audio
from occlufacediff.visibility import joining
from occlufacediff.visibility.finder import join


@given(st.integers(0, 50), st.integers(1, 20))
def test_blocks_cover_all_frames_once(frames: int, length: int) -> None:
    assert [n for block in blocks_of(frames, length) for n in range(frames)[block]] == list(range(frames))
    values, other = np.arange(2.0 * frames).reshape(frames, 2), np.arange(frames)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(frame_blocks, "BLOCK", length)
        result = by_blocks(lambda a, b: a * b[:, None], values, other, dtype=np.float32)
    assert result.dtype == np.float32
    np.testing.assert_array_equal(result, (values * other[:, None]).astype(np.float32))


@pytest.mark.parametrize("late", [-0.3, 0.0, 0.2])
def test_audio_in_small_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, late: float) -> None:
    rng = np.random.default_rng(0)
    stereo = (rng.standard_normal((44100, 2)) * 3000).astype(np.int16)
    wavfile.write(tmp_path / "a.wav", 44100, stereo)
    whole = audio.read_waveform(tmp_path / "a.wav")
    mel, level = audio.log_mel(whole), audio.level_db(whole)
    first = list(audio._from_first_frame([stereo[:, 0]], round(late * 44100)))
    for name, value in {"_BLOCK": 1000, "_MEL_ROWS": 7, "_LEVELS": 3}.items():
        monkeypatch.setattr(audio, name, value)
    np.testing.assert_array_equal(audio.read_waveform(tmp_path / "a.wav"), whole)
    np.testing.assert_allclose(audio.log_mel(whole), mel, atol=1e-6)
    assert audio.level_db(whole) == level
    pieces = audio._from_first_frame(np.split(stereo[:, 0], range(1000, 44100, 1000)), round(late * 44100))
    np.testing.assert_array_equal(np.concatenate(list(pieces)), np.concatenate(first))


def test_visibility_in_small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    smooth = np.repeat(rng.random((15, 468)), 4, axis=0).astype(np.float32)
    evidence = {2 * number: row for number, row in enumerate(smooth)}
    whole = join(evidence, 120)
    monkeypatch.setattr(frame_blocks, "BLOCK", 7)
    monkeypatch.setattr(joining, "_LANDMARKS", 50)
    parts = join(evidence, 120)
    np.testing.assert_array_equal(parts.probability, whole.probability)
    np.testing.assert_array_equal(parts.hidden, whole.hidden)
    np.testing.assert_array_equal(parts.uncertain, whole.uncertain)
    assert 0 < whole.hidden.mean() < 1
