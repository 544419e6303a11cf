"""Readers of VMC and Live Link Face packets, written from the specifications and independent of the package."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import Any

#: Names in the order of Live Link Face's packets.
_NAMES = (
    "EyeBlinkLeft EyeLookDownLeft EyeLookInLeft EyeLookOutLeft EyeLookUpLeft EyeSquintLeft EyeWideLeft "
    "EyeBlinkRight EyeLookDownRight EyeLookInRight EyeLookOutRight EyeLookUpRight EyeSquintRight EyeWideRight "
    "JawForward JawLeft JawRight JawOpen MouthClose MouthFunnel MouthPucker MouthLeft MouthRight "
    "MouthSmileLeft MouthSmileRight MouthFrownLeft MouthFrownRight MouthDimpleLeft MouthDimpleRight "
    "MouthStretchLeft MouthStretchRight MouthRollLower MouthRollUpper MouthShrugLower MouthShrugUpper "
    "MouthPressLeft MouthPressRight MouthLowerDownLeft MouthLowerDownRight MouthUpperUpLeft MouthUpperUpRight "
    "BrowDownLeft BrowDownRight BrowInnerUp BrowOuterUpLeft BrowOuterUpRight CheekPuff CheekSquintLeft "
    "CheekSquintRight NoseSneerLeft NoseSneerRight TongueOut "
    "HeadYaw HeadPitch HeadRoll LeftEyeYaw LeftEyePitch LeftEyeRoll RightEyeYaw RightEyePitch RightEyeRoll"
)
LIVE_LINK_NAMES = _NAMES.split()


@dataclass(frozen=True)
class LiveLinkPacket:
    """A decoded packet; ``values`` is None without a face."""

    device: str
    subject: str
    frame: float
    rate: float
    values: dict[str, float] | None


def read_livelink(packet: bytes) -> LiveLinkPacket:
    """Decode a packet; all bytes must be used."""
    place = 0

    def take(code: str) -> tuple[Any, ...]:
        nonlocal place
        values = struct.unpack_from(f">{code}", packet, place)
        place += struct.calcsize(f">{code}")
        return values

    def text() -> str:
        (length,) = take("i")
        return take(f"{length}s")[0].decode()

    (version,) = take("B")
    assert version == 6
    device, subject = text(), text()
    number, part, numerator, denominator = take("ifii")
    values = None
    if place < len(packet):
        (count,) = take("B")
        assert count == 61
        values = dict(zip(LIVE_LINK_NAMES, take(f"{count}f"), strict=True))
    assert place == len(packet)
    return LiveLinkPacket(device, subject, number + part, numerator / denominator, values)


def read_osc(packet: bytes) -> list[tuple[str, list[Any]]]:
    """Addresses and arguments of all messages in an OSC packet."""
    if packet.startswith(b"#bundle\0"):
        place, found = 16, []
        while place < len(packet):
            (size,) = struct.unpack_from(">i", packet, place)
            assert size > 0 and size % 4 == 0
            found += read_osc(packet[place + 4 : place + 4 + size])
            place += 4 + size
        assert place == len(packet)
        return found
    address, place = _text(packet, 0)
    types, place = _text(packet, place)
    assert address.startswith("/") and types.startswith(",")
    values: list[Any] = []
    for kind in types[1:]:
        if kind == "s":
            value, place = _text(packet, place)
            values.append(value)
        else:
            assert kind in "if", kind
            values.append(struct.unpack_from(f">{kind}", packet, place)[0])
            place += 4
    assert place == len(packet)
    return [(address, values)]


def _text(packet: bytes, place: int) -> tuple[str, int]:
    end = packet.index(b"\0", place)
    return packet[place:end].decode("ascii"), place + (end - place) // 4 * 4 + 4


@dataclass(frozen=True)
class VmcFrame:
    """The messages of one frame."""

    seconds: float
    bones: dict[str, list[float]]
    weights: dict[str, float]


def read_vmc(packets: list[bytes]) -> list[VmcFrame]:
    """Frames in the packets of a session, each complete and in the order of the protocol."""
    frames: list[VmcFrame] = []
    held: list[tuple[str, list[Any]]] = []
    for message in (message for packet in packets for message in read_osc(packet)):
        held.append(message)
        if message[0] == "/VMC/Ext/Blend/Apply":
            addresses = [address for address, _ in held]
            assert addresses[:3] == ["/VMC/Ext/OK", "/VMC/Ext/T", "/VMC/Ext/Root/Pos"]
            assert held[0][1] == [1]
            bones = {values[0]: values[1:] for address, values in held if address == "/VMC/Ext/Bone/Pos"}
            weights = {values[0]: values[1] for address, values in held if address == "/VMC/Ext/Blend/Val"}
            assert len(addresses) == 3 + len(bones) + len(weights) + 1
            frames.append(VmcFrame(held[1][1][0], bones, weights))
            held = []
    assert held == []
    return frames
