"""Audio: 16 kHz, aligned with the video, log-mel with fixed scales."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.io import wavfile

from occlufacediff.errors import ClipError
from occlufacediff.media.audio import fit_to_frames, level_db, log_mel, read_waveform
from occlufacediff.media.encode import VideoWriter, write_audio
from occlufacediff.media.ffmpeg import ffmpeg_binary
from occlufacediff.media.probe import probe
from occlufacediff.media.rates import SAMPLE_RATE


def run(*arguments: object) -> None:
    subprocess.run([ffmpeg_binary(), "-nostdin", "-y", "-loglevel", "error", *map(str, arguments)], check=True)


def clicks(seconds: float = 2.0, rate: int = 48000) -> np.ndarray:
    """Short bursts at full and half seconds, with different amplitudes."""
    wave = np.zeros(int(seconds * rate), np.float32)
    for number, at in enumerate(np.arange(0.5, seconds, 0.5)):
        start = int(at * rate)
        wave[start : start + rate // 100] = 0.2 + 0.2 * number
    return wave


def lag(one: np.ndarray, other: np.ndarray) -> float:
    """Delay of ``other``, in seconds."""
    size = min(len(one), len(other))
    both = np.fft.irfft(np.fft.rfft(other[:size], 2 * size) * np.conj(np.fft.rfft(one[:size], 2 * size)))
    at = int(both.argmax())
    return (at if at < size else at - 2 * size) / SAMPLE_RATE


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100, 48000])
def test_any_rate_is_converted_to_16_khz_mono(tmp_path: Path, rate: int) -> None:
    time = np.arange(rate) / rate
    tone = (0.3 * np.sin(2 * np.pi * 440 * time)).astype(np.float32)
    wavfile.write(tmp_path / "a.wav", rate, np.stack([tone, tone], axis=1))
    wave = read_waveform(tmp_path / "a.wav")
    assert wave.dtype == np.float32
    assert abs(len(wave) - SAMPLE_RATE) <= 1
    expected = 0.3 * np.sin(2 * np.pi * 440 * np.arange(len(wave)) / SAMPLE_RATE)
    np.testing.assert_allclose(wave[500:-500], expected[500:-500], atol=2e-3)


def test_archived_audio_is_read_without_a_delay(tmp_path: Path) -> None:
    write_audio(tmp_path / "a.m4a", clicks(), 48000)
    track = probe(tmp_path / "a.m4a").require_audio()
    assert (track.codec, track.sample_rate, track.channels) == ("aac", 48000, 2)
    back = read_waveform(tmp_path / "a.m4a")
    assert abs(lag(clicks()[::3], back)) < 2e-3
    tone = (0.3 * np.sin(np.arange(48000) / 20)).astype(np.float32)
    write_audio(tmp_path / "tone.m4a", tone, 48000)
    assert abs(read_waveform(tmp_path / "tone.m4a")[4000:12000].std() / tone.std() - 1) < 0.02


@pytest.mark.parametrize("delay", [-0.4, 0.0, 0.4])
def test_audio_is_aligned_with_the_first_frame(tmp_path: Path, delay: float) -> None:
    write_audio(tmp_path / "a.m4a", clicks(), 48000)
    run("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=2", "-c:v", "libx264", tmp_path / "v.mp4")
    late_audio, late_video = max(delay, 0), max(-delay, 0)
    run(
        *("-itsoffset", late_video, "-i", tmp_path / "v.mp4", "-itsoffset", late_audio, "-i", tmp_path / "a.m4a"),
        *("-map", "0:v", "-map", "1:a", "-c", "copy", tmp_path / "both.mkv"),
    )
    assert abs(lag(clicks()[::3], read_waveform(tmp_path / "both.mkv")) - delay) < 6e-3


def test_video_writer_keeps_audio_aligned_and_as_long_as_the_video(tmp_path: Path) -> None:
    source = tmp_path / "source.mp4"
    frames = [np.full((48, 64, 3), number * 4, np.uint8) for number in range(50)]
    for path, audio in ((source, clicks()[::3]), (tmp_path / "again.mp4", source)):
        with VideoWriter(path, 25, (64, 48), audio=audio) as writer:
            for frame in frames:
                writer.write(frame)
        info = probe(path)
        assert abs(info.require_video().duration_s - 2) < 0.01
        assert abs(lag(clicks()[::3], read_waveform(path))) < 2e-3
        assert abs(len(read_waveform(path)) - 2 * SAMPLE_RATE) < 2000


def test_missing_and_broken_audio(tmp_path: Path) -> None:
    run("-f", "lavfi", "-i", "testsrc2=size=64x48:rate=25:duration=1", tmp_path / "v.mp4")
    (tmp_path / "empty.m4a").write_bytes(b"")
    for name, reason in (("v.mp4", "no_audio"), ("empty.m4a", "broken_audio")):
        with pytest.raises(ClipError, match=name) as rejected:
            read_waveform(tmp_path / name)
        assert rejected.value.reason == reason


@given(st.integers(0, 5000), st.integers(1, 8))
def test_fit_to_frames_pads_or_cuts_at_the_end(samples: int, frames: int) -> None:
    wave = np.arange(1, samples + 1, dtype=np.float32)
    fitted, added = fit_to_frames(wave, frames)
    assert fitted.shape == (frames * 640,)
    assert len(wave) + added == frames * 640
    kept = min(samples, frames * 640)
    np.testing.assert_array_equal(fitted[:kept], wave[:kept])
    assert not fitted[kept:].any()


def test_log_mel_shape_and_position_of_a_burst() -> None:
    wave = np.zeros(SAMPLE_RATE, np.float32)
    wave[8000:8160] = np.random.default_rng(0).standard_normal(160).astype(np.float32)
    mel = log_mel(wave)
    assert mel.shape == (100, 80)
    assert mel.dtype == np.float32
    assert mel.sum(axis=1).argmax() in (50, 51)
    assert log_mel(np.zeros(100, np.float32)).shape == (0, 80)


def test_log_mel_keeps_loudness() -> None:
    wave = np.random.default_rng(0).standard_normal(SAMPLE_RATE).astype(np.float32) * 0.1
    assert 0.4 < float((log_mel(wave * 10) - log_mel(wave)).mean() * 4.25 / np.log(100)) < 1.01


def test_log_mel_of_speech_is_near_unit_variance(shared: Path) -> None:
    mels = [log_mel(read_waveform(path)) for path in sorted((shared / "real" / "clips").glob("[lv]*.mp4"))[:12]]
    speech = np.concatenate(mels)
    assert abs(speech.mean()) < 0.5
    assert 0.6 < speech.std() < 1.3


def test_level() -> None:
    assert level_db(np.zeros(1000, np.float32)) == -200
    assert level_db(np.zeros(0, np.float32)) == -200
    assert abs(level_db(np.ones(SAMPLE_RATE, np.float32))) < 1e-6
    rng = np.random.default_rng(0)
    for samples in (1, 319, 321, 3333, 12345):
        wave = rng.normal(0, 0.1, samples).astype(np.float32)
        parts = np.array_split(wave.astype(np.float64), max(1, samples // 320))
        assert abs(level_db(wave) - 10 * np.log10(max((part**2).mean() for part in parts))) < 1e-9
