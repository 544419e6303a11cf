"""Live Link Face's UDP packets, version 6, which Unreal's Live Link receives.

Big-endian: version, device and subject with their lengths, frame number and rest of it at 60 frames a second, the
number of values (61), 52 weights, and nine angles in radians. A packet without a face ends after the frame's time.
"""

from __future__ import annotations

import struct

import numpy as np

from occlufacediff.export.arkit import ARKIT_NAMES
from occlufacediff.export.livelink import ANGLES, CODE_RATE, livelink_angles
from occlufacediff.live.message import LiveFrame

VERSION = 6
#: Pairs of weights whose order differs from that of the CSV files.
_SWAPPED = {"jawRight": "jawLeft", "jawLeft": "jawRight", "mouthRight": "mouthLeft", "mouthLeft": "mouthRight"}
#: The weights in the order of the packets.
PACKET_NAMES = tuple(_SWAPPED.get(name, name) for name in ARKIT_NAMES)
_ORDER = [ARKIT_NAMES.index(name) for name in PACKET_NAMES]
_VALUES = len(ARKIT_NAMES) + len(ANGLES)


class LiveLinkFormat:
    """Packets of the app Live Link Face.

    Args:
        subject: name of the subject in Unreal, and of the device.
    """

    def __init__(self, subject: str) -> None:
        name = subject.encode()
        self._start = struct.pack(">B", VERSION) + 2 * (struct.pack(">i", len(name)) + name)

    def packets(self, frame: LiveFrame) -> list[bytes]:
        """One packet."""
        number, rest = divmod(frame.clock_s * CODE_RATE, 1)
        packet = self._start + struct.pack(">ifii", int(number), rest, CODE_RATE, 1)
        if not frame.face:
            return [packet]
        values = np.concatenate([frame.motion.weights[0, _ORDER], livelink_angles(frame.motion)[0]])
        return [packet + struct.pack(">B", _VALUES) + values.astype(">f4").tobytes()]
