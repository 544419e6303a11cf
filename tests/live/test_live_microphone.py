"""Audio of a microphone: generators and recordings of ffmpeg's ``lavfi`` stand in for the device."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from live_setup import Live, Receiver, figures

from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.live.microphone import Microphone, MicrophoneAddress, parse_microphone
from occlufacediff.media.rates import SAMPLE_RATE

Piece = tuple[np.ndarray, float]


def listen(device: str, seconds: float) -> tuple[list[Piece], list[str], float]:
    """Pieces and lines of a microphone within some seconds, and when it was opened."""
    heard: list[Piece] = []
    lines: list[str] = []
    with Microphone(parse_microphone(device), lambda *piece: heard.append(piece), lines.append):
        begun = time.monotonic()
        time.sleep(seconds)
    return heard, lines, begun


def test_format_and_device_are_separated() -> None:
    assert parse_microphone("alsa:hw:0") == MicrophoneAddress("alsa", "hw:0", "alsa:hw:0")
    assert parse_microphone("avfoundation::0").device == ":0"
    assert parse_microphone("dshow:audio=USB (2)").device == "audio=USB (2)"
    for wrong in ("pulse", "pulse:", ":default"):
        with pytest.raises(ConfigError, match=f"--microphone {wrong}: needs"):
            parse_microphone(wrong)


def test_a_tone_is_heard_in_real_time() -> None:
    heard, lines, begun = listen("lavfi:sine=frequency=440:sample_rate=48000", 1.5)
    assert not lines
    samples = np.concatenate([piece for piece, _ in heard])
    assert samples.dtype == np.int16
    spectrum = np.abs(np.fft.rfft(samples[: SAMPLE_RATE // 2]))
    assert np.argmax(spectrum) * 2 == pytest.approx(440, abs=2)
    begins = np.array([begin for _, begin in heard])
    assert np.diff(begins).min() > 0.0399
    # The generator gives an hour in seconds; pieces come when they would come from a microphone.
    assert begins[-1] - begun < 1.6
    assert len(samples) < 2.1 * SAMPLE_RATE


def test_a_lost_microphone_is_one_line() -> None:
    heard, lines, _ = listen("lavfi:sine=frequency=440:duration=0.4", 1.0)
    assert sum(len(piece) for piece, _ in heard) == pytest.approx(0.4 * SAMPLE_RATE, abs=640)
    assert lines == [
        "--microphone lavfi:sine=frequency=440:duration=0.4: gives no audio any more; hidden parts do not follow speech"
    ]


@pytest.mark.parametrize("device", ["nonsense:default", "lavfi:no_such_filter", "lavfi:amovie=/no/such/file.wav"])
def test_a_microphone_that_cannot_be_opened(device: str) -> None:
    microphone = Microphone(parse_microphone(device), lambda *piece: None, lambda line: None)
    with pytest.raises(ClipError, match=r"--microphone .*: cannot be opened \(.+\); `ffmpeg -devices`") as error:
        microphone.__enter__()
    assert "\n" not in str(error.value)


def test_a_session_goes_on_without_its_microphone(clips: Path, live: Live, receiver: Receiver) -> None:
    tone = "lavfi:sine=frequency=440:duration=0.2"
    options = ("--send", "vmc", "--to", receiver.to, "--look-ahead", "0.3", "--visibility", "none")
    status, output = live(str(clips / "face.mp4"), *options, "--microphone", tone)
    assert status == 0
    assert output.count("gives no audio any more") == 1
    assert figures(output)[0] > 0


def test_a_microphone_needs_a_look_ahead(clips: Path, live: Live, receiver: Receiver) -> None:
    status, output = live(
        str(clips / "face.mp4"), "--send", "vmc", "--to", receiver.to, "--microphone", "pulse:default"
    )
    assert status == 2
    assert "--microphone pulse:default: hidden parts follow speech only with a look-ahead; add --look-ahead" in output
