"""What a live session sends for one frame, whatever the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from occlufacediff.export.arkit import ArkitMotion


@dataclass(frozen=True, eq=False)
class LiveFrame:
    """One frame to send.

    Attributes:
        motion: ARKit weights and angles of one frame.
        face: whether a face is in the picture. Without one, the motion is what the session last knew.
        seconds: since the first frame.
        clock_s: local time of day of the capture, seconds after midnight.
    """

    motion: ArkitMotion
    face: bool
    seconds: float
    clock_s: float


class Format(Protocol):
    """Turns frames into packets."""

    def packets(self, frame: LiveFrame) -> list[bytes]:
        """UDP packets of a frame, in the order in which they are sent."""
        ...
