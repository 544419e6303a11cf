"""A live session: the loop from captured frames to sent packets, and its figures."""

from __future__ import annotations

import csv
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TextIO

import numpy as np

from occlufacediff.live.capture import Capture
from occlufacediff.live.face import LiveFace
from occlufacediff.live.message import Format, LiveFrame
from occlufacediff.live.sender import UdpSender

#: Columns of the log: a row for each sent frame. Times are seconds of the monotonic clock.
LOG_COLUMNS = ("frame", "captured_s", "sent_s", "latency_ms", "seconds", "face", "hidden", "error_px")


@dataclass
class Figures:
    """Figures of a session.

    Attributes:
        latencies: of each sent frame from its capture to the end of sending, seconds.
        faces: sent frames with a face.
        captured, dropped: frames of the source; those that were left out because newer ones were there.
        packets, refused, failed: see `UdpSender`.
        wall_s, cpu_s: duration of the session, processor time of the whole program in it.
        parts_s: processor time by part.
    """

    latencies: list[float] = field(default_factory=list)
    faces: int = 0
    captured: int = 0
    dropped: int = 0
    packets: int = 0
    refused: int = 0
    failed: int = 0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    parts_s: dict[str, float] = field(default_factory=dict)

    def line(self) -> str:
        """The summary in one line."""
        if not self.latencies:
            return "0 frames sent"
        median, high = np.percentile(1000 * np.array(self.latencies), [50, 95])
        text = (
            f"{len(self.latencies)} frames sent ({self.faces} with a face), {self.dropped} dropped; latency: median "
            f"{median:.0f} ms, 95 % within {high:.0f} ms"
        )
        if self.refused or self.failed:
            text += f"; {self.refused} packets refused by the receiver, {self.failed} not sent"
        return text

    def profile(self) -> str:
        """Processor time per sent frame by part, in one line; MediaPipe and the decoder use threads of their own."""
        count = max(len(self.latencies), 1)
        parts = {**self.parts_s, "threads of MediaPipe and decoder": self.cpu_s - sum(self.parts_s.values())}
        text = ", ".join(f"{name} {1000 * spent / count:.1f}" for name, spent in parts.items())
        return f"processor time per frame {1000 * self.cpu_s / count:.1f} ms: {text}"


def run_session(
    capture: Capture,
    face: LiveFace,
    form: Format,
    sender: UdpSender,
    figures: Figures,
    *,
    seconds: float | None = None,
    log: TextIO | None = None,
    say: Callable[[str], object] = lambda line: None,
) -> None:
    """Send every frame until the source ends.

    Args:
        capture: gives frames.
        face: turns pictures into motion.
        form: format of the packets.
        sender: sends them.
        figures: filled while the session runs, so that they are there when it is interrupted.
        seconds: end after this time; None: no limit.
        log: file for a row for each frame (`LOG_COLUMNS`).
        say: gets one line when the face is lost, when it is back, and when the receiver first refuses.

    Raises:
        ClipError: the source is gone or broken.
    """
    rows = None if log is None else csv.writer(log, lineterminator="\n")
    if rows is not None:
        rows.writerow(LOG_COLUMNS)
    begun, cpu = time.monotonic(), time.process_time()
    first: float | None = None
    midnight = _midnight()
    seen: bool | None = None
    try:
        while (frame := capture.next()) is not None:
            first = frame.time if first is None else first
            if seconds is not None and frame.time - first >= seconds:
                break
            look = face.look(frame.picture, frame.time)
            packing = time.thread_time()
            sender.send(form.packets(LiveFrame(look.motion, look.face, frame.time - first, frame.time - midnight)))
            sent = time.monotonic()
            packed = time.thread_time()
            figures.latencies.append(sent - frame.time)
            figures.faces += look.face
            figures.parts_s["packets"] = figures.parts_s.get("packets", 0.0) + packed - packing
            if sender.refused == 1 and not figures.refused:
                say("no program listens at the receiver's port; sending goes on")
            figures.packets, figures.refused, figures.failed = sender.packets, sender.refused, sender.failed
            if look.face != seen:
                if seen is not None or not look.face:
                    say("the face is in the picture again" if look.face else "no face in the picture")
                seen = look.face
            if rows is not None:
                latency = 1000 * (sent - frame.time)
                numbers = [frame.time, sent, latency, frame.time - first]
                rows.writerow(
                    [frame.number, *(f"{value:.6f}" for value in numbers), int(look.face), f"{look.hidden:.3f}",
                     f"{look.error_px:.3f}"]
                )  # fmt: skip
    finally:
        figures.captured, figures.dropped = capture.captured, capture.dropped
        figures.wall_s, figures.cpu_s = time.monotonic() - begun, time.process_time() - cpu
        figures.parts_s |= {**face.cpu_s, "visibility": face.visibility_cpu_s, "capture": capture.cpu_s}


def _midnight() -> float:
    """The monotonic clock's value at the last local midnight."""
    now = time.localtime()
    return time.monotonic() - (now.tm_hour * 3600 + now.tm_min * 60 + now.tm_sec + time.time() % 1)
