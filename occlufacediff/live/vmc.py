"""VMC protocol: OSC messages over UDP for avatar programs.

A frame is the messages ``/VMC/Ext/OK``, ``/VMC/Ext/T`` (seconds), ``/VMC/Ext/Root/Pos``, ``/VMC/Ext/Bone/Pos`` for
head and eyes, ``/VMC/Ext/Blend/Val`` for each weight, and ``/VMC/Ext/Blend/Apply``. The messages are packed into
bundles that fit into one Ethernet frame, because fragments of larger packets are lost more easily.

Axes are those of Unity: x points to the subject's right, y up, z forwards.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pythonosc.osc_bundle_builder import IMMEDIATELY, OscBundleBuilder
from pythonosc.osc_message import OscMessage
from pythonosc.osc_message_builder import OscMessageBuilder
from scipy.spatial.transform import Rotation

from occlufacediff.export.arkit import ARKIT_NAMES, ArkitMotion
from occlufacediff.export.vrma import PRESETS
from occlufacediff.live.message import LiveFrame

#: Largest bundle in bytes: 1500 of an Ethernet frame without the headers of IPv6 and UDP.
LARGEST = 1400
#: Names of the presets in VRM 0, which VMC uses.
VRM0_NAMES = {
    "aa": "A", "ih": "I", "ou": "U", "ee": "E", "oh": "O", "blinkLeft": "Blink_L", "blinkRight": "Blink_R",
}  # fmt: skip
#: Bytes of an OSC bundle before its messages, and before each message.
_HEAD, _SIZE = 16, 4
_STILL = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)


class VmcFormat:
    """Packets of the VMC protocol.

    Args:
        presets: send the seven presets of VRM avatars instead of ARKit's 52 weights.
    """

    def __init__(self, *, presets: bool = False) -> None:
        self._presets = presets

    def packets(self, frame: LiveFrame) -> list[bytes]:
        """Bundles of a frame; the last one ends with ``Blend/Apply``."""
        bundles: list[bytes] = []
        held: list[OscMessage] = []
        size = _HEAD
        for message in self._messages(frame):
            if size + _SIZE + message.size > LARGEST:
                bundles.append(_bundle(held))
                held, size = [], _HEAD
            held.append(message)
            size += _SIZE + message.size
        return [*bundles, _bundle(held)]

    def _messages(self, frame: LiveFrame) -> Iterator[OscMessage]:
        motion = frame.motion
        yield _message("/VMC/Ext/OK", 1)
        yield _message("/VMC/Ext/T", frame.seconds)
        yield _message("/VMC/Ext/Root/Pos", "root", *_STILL)
        yield _message("/VMC/Ext/Bone/Pos", "Head", 0.0, 0.0, 0.0, *unity_rotation(motion.head[0]))
        for name, (yaw, pitch) in zip(("LeftEye", "RightEye"), motion.eyes[0], strict=True):
            yield _message("/VMC/Ext/Bone/Pos", name, 0.0, 0.0, 0.0, *unity_rotation(np.array([yaw, -pitch, 0.0])))
        weights = preset_weights(motion) if self._presets else arkit_weights(motion)
        for name, value in weights.items():
            yield _message("/VMC/Ext/Blend/Val", name, value)
        yield _message("/VMC/Ext/Blend/Apply")


def unity_rotation(angles: NDArray[np.floating]) -> list[float]:
    """Quaternion x, y, z, w in Unity's axes, of intrinsic rotations (3,) about y, x and z of the head frame."""
    x, y, z, w = Rotation.from_euler("YXZ", np.asarray(angles, np.float64)).as_quat()
    return [float(x), float(-y), float(-z), float(w)]


def arkit_weights(motion: ArkitMotion) -> dict[str, float]:
    """ARKit's weights of the first frame by the names of "perfect sync" avatars, which begin with a capital."""
    return {
        name[0].upper() + name[1:]: float(value) for name, value in zip(ARKIT_NAMES, motion.weights[0], strict=True)
    }


def preset_weights(motion: ArkitMotion) -> dict[str, float]:
    """Weights of VRM's presets in the first frame: sums of ARKit's weights, cut off at 1."""
    return {
        VRM0_NAMES[preset]: float(min(1.0, sum(part * motion.weight(name)[0] for name, part in parts.items())))
        for preset, parts in PRESETS.items()
    }


def _message(address: str, *values: float | int | str) -> OscMessage:
    builder = OscMessageBuilder(address=address)
    for value in values:
        builder.add_arg(value)
    return builder.build()


def _bundle(messages: list[OscMessage]) -> bytes:
    builder = OscBundleBuilder(IMMEDIATELY)
    for message in messages:
        builder.add_content(message)
    return bytes(builder.build().dgram)
