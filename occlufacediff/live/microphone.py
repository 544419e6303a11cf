"""The audio of a microphone for live sessions whose source has none, read by the ffmpeg program.

The libraries in the wheel of PyAV know few devices. The program on the PATH knows those of its system.
"""

from __future__ import annotations

import subprocess
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from tempfile import TemporaryFile
from types import TracebackType
from typing import IO, Self, cast

import ffmpeg
import numpy as np

from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.live.source import ANSWER_S, Hear
from occlufacediff.media.ffmpeg import QUIET, ffmpeg_binary, last_words
from occlufacediff.media.rates import SAMPLE_RATE, SAMPLES_PER_FRAME

#: Audio later than this was interrupted, seconds; the times of the next pieces follow the clock again.
_INTERRUPTED_S = 0.5
#: Bytes of a piece: one frame of 16-bit samples.
_PIECE_BYTES = 2 * SAMPLES_PER_FRAME


@dataclass(frozen=True)
class MicrophoneAddress:
    """A microphone as the user gave it.

    Attributes:
        format: name of one of ffmpeg's input formats.
        device: the device, in the words of this format.
        text: what the user gave, for messages.
    """

    format: str
    device: str
    text: str


def parse_microphone(text: str) -> MicrophoneAddress:
    """Split ``FORMAT:DEVICE``.

    Raises:
        ConfigError: the format or the device is missing.
    """
    form, _, device = text.partition(":")
    if not form or not device:
        raise ConfigError(
            f"--microphone {text}: needs one of ffmpeg's input formats and a device, such as pulse:default (Linux), "
            "avfoundation::0 (macOS) or dshow:audio=NAME (Windows)"
        )
    return MicrophoneAddress(form, device, text)


class Microphone:
    """Reads a microphone in a thread. A context manager: the device is opened on entry and closed on exit.

    If the device gives no audio any more, one line says so and the session goes on without it.

    Args:
        address: the microphone.
        hear: gets the audio in pieces of a frame.
        say: gets the line when the device is lost.
    """

    def __init__(self, address: MicrophoneAddress, hear: Hear, say: Callable[[str], object]) -> None:
        self._address, self._hear, self._say = address, hear, say
        self._stop, self._answered = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="microphone", daemon=True)
        self._heard = False

    def __enter__(self) -> Self:
        """Open the device.

        Raises:
            ClipError: ``no_audio``: the device cannot be opened, or gives no audio.
        """
        source = ffmpeg.input(self._address.device, f=self._address.format).audio
        output = source.output("pipe:", f="s16le", ac=1, ar=SAMPLE_RATE, flush_packets=1)
        self._errors = TemporaryFile()
        self._process: subprocess.Popen[bytes] = subprocess.Popen(
            output.global_args(*QUIET).compile(cmd=ffmpeg_binary()),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=self._errors,
        )
        self._thread.start()
        answered = self._answered.wait(ANSWER_S)
        if not self._heard:
            self._close()
            reason = last_words(self._output()) if answered else f"no audio within {ANSWER_S:g} s"
            self._errors.close()
            raise ClipError(
                "no_audio",
                f"--microphone {self._address.text}: cannot be opened ({reason}); `ffmpeg -devices` lists the formats, "
                f"`ffmpeg -sources {self._address.format}` the devices of some of them",
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._errors.close()

    def _close(self) -> None:
        self._stop.set()
        self._process.kill()
        self._thread.join(timeout=2.0)
        self._process.wait()

    def _output(self) -> bytes:
        self._errors.seek(0)
        return self._errors.read()

    def _run(self) -> None:
        pipe = cast(IO[bytes], self._process.stdout)
        seconds = SAMPLES_PER_FRAME / SAMPLE_RATE
        begin: float | None = None
        with pipe:
            while len(piece := pipe.read(_PIECE_BYTES)) == _PIECE_BYTES:
                self._heard = True
                self._answered.set()
                now = time.monotonic()
                if begin is None or now - begin - seconds > _INTERRUPTED_S:
                    begin = now - seconds
                # What comes too early is not a microphone, but a file or a generator.
                if self._stop.wait(max(begin + seconds - now, 0)):
                    return
                self._hear(np.frombuffer(piece, "<i2").astype(np.int16), begin)
                begin += seconds
        self._process.wait()
        self._answered.set()
        if self._heard and not self._stop.is_set():
            self._say(f"--microphone {self._address.text}: gives no audio any more; hidden parts do not follow speech")
