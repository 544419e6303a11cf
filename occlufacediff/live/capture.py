"""Captures pictures in a thread and keeps the newest one only, so that a slow session drops frames and never lags."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from occlufacediff.errors import ClipError, OccluFaceError
from occlufacediff.live.source import ANSWER_S, Hear, Picture, SourceAddress, Wait, pictures

#: Seconds between two attempts to open a lost source.
_RETRY_S = 0.5
#: Seconds without a frame after which a line says so.
_NOTICE_S = 1.0


@dataclass(frozen=True)
class Captured:
    """A captured frame.

    Attributes:
        number: of the frame, from 0, counting dropped ones.
        picture: (H, W, 3) RGB.
        time: seconds of the monotonic clock when it was captured.
    """

    number: int
    picture: Picture
    time: float


class Capture:
    """The newest frame of a source. A context manager: the source is opened on entry and closed on exit.

    Args:
        source: where the frames come from.
        wait_s: seconds without a frame after which a camera or stream counts as gone. Until then it is opened again
            and again.
        say: gets one line when frames stop and one when they return.
        hear: gets the audio, if the source has any.

    Attributes:
        captured: number of frames so far.
        dropped: number of frames that were replaced by a newer one before they were used.
        cpu_s: processor time of the thread, seconds, without that of the decoder's own threads.
    """

    def __init__(
        self,
        source: SourceAddress,
        *,
        wait_s: float,
        say: Callable[[str], object] = lambda line: None,
        hear: Hear | None = None,
    ) -> None:
        self._source, self._wait_s, self._say, self._hear = source, wait_s, say, hear
        self._changed = threading.Condition()
        self._stop = threading.Event()
        self._newest: Captured | None = None
        self._ended = False
        self._error: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)
        self.captured = self.dropped = 0
        self.cpu_s = 0.0

    def __enter__(self) -> Self:
        """Open the source.

        Raises:
            ClipError: the source cannot be opened.
        """
        self._thread.start()
        with self._changed:
            answered = self._changed.wait_for(lambda: self._newest or self._ended, self._wait_s + ANSWER_S)
            if self._error is not None:
                raise self._error
            if not answered:
                self._stop.set()
                raise self._silent(self._wait_s + ANSWER_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        # A camera that hangs does not return from a read; the thread then ends with the process.
        self._thread.join(timeout=2.0)

    def next(self) -> Captured | None:
        """The newest frame that was not yet taken, as soon as there is one; None if the source has ended.

        Raises:
            ClipError: ``no_video``: the source gave no frame for the stated time, or it is broken.
        """
        begun, lost = time.monotonic(), False
        notice, deadline = begun + min(_NOTICE_S, self._wait_s), begun + self._wait_s
        with self._changed:
            while self._newest is None and not self._ended:
                now = time.monotonic()
                if now >= deadline:
                    raise self._silent(self._wait_s)
                if now >= notice and not lost:
                    lost = True
                    self._say(f"{self._source.text}: no frames; waiting up to {self._wait_s:g} s")
                self._changed.wait((deadline if lost else notice) - now)
            if lost and self._newest is not None:
                self._say(f"{self._source.text}: frames again")
            frame, self._newest = self._newest, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def _silent(self, seconds: float) -> ClipError:
        return ClipError(
            "no_video", f"SOURCE {self._source.text}: gave no frame for {seconds:g} s; check it, or raise --wait"
        )

    def _run(self) -> None:
        def wait(seconds: float) -> bool:
            return not self._stop.wait(max(seconds, 0))

        try:
            while not self._stop.is_set():
                try:
                    if self._read(wait):
                        break
                except OccluFaceError:
                    # The first opening fails at once; later ones are repeated until `next` gives up.
                    if self._source.kind == "file" or not self.captured:
                        raise
                wait(_RETRY_S)
        except Exception as error:  # noqa: BLE001 - the session's thread raises it
            self._error = error
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify_all()

    def _read(self, wait: Wait) -> bool:
        """Read until the source ends (True) or is lost (False)."""
        for timed in pictures(self._source, wait, self._hear):
            if timed is None:
                return True
            with self._changed:
                if timed.picture is None:
                    self.dropped += 1
                else:
                    self.dropped += self._newest is not None
                    self._newest = Captured(self.captured, timed.picture, timed.time)
                self.captured += 1
                self.cpu_s = time.thread_time()
                self._changed.notify_all()
            if self._stop.is_set():
                return True
        return False
