"""Packets of both formats, decoded by readers that were written from the specifications."""

from __future__ import annotations

import csv
import socket
from pathlib import Path

import numpy as np
import pytest
from packet_readers import LIVE_LINK_NAMES, read_livelink, read_osc, read_vmc
from scipy.spatial.transform import Rotation

from occlufacediff.errors import ConfigError
from occlufacediff.export.arkit import ARKIT_NAMES, ArkitMotion, mirrored
from occlufacediff.export.livelink import write_livelink
from occlufacediff.live.livelink_udp import LiveLinkFormat
from occlufacediff.live.message import LiveFrame
from occlufacediff.live.sender import UdpSender, parse_receiver
from occlufacediff.live.vmc import LARGEST, VmcFormat


def motion(seed: int = 0) -> ArkitMotion:
    rng = np.random.default_rng(seed)
    return ArkitMotion(
        weights=rng.uniform(0, 1, (1, 52)).astype(np.float32),
        head=np.array([[0.3, 0.2, -0.1]], np.float32),
        eyes=np.array([[[0.1, 0.05], [0.12, 0.04]]], np.float32),
        fps=25.0,
    )


def frame(face: bool = True, given: ArkitMotion | None = None) -> LiveFrame:
    return LiveFrame(given or motion(), face, 12.5, 3600.51)


def test_live_link_packets_follow_the_specification() -> None:
    (packet,) = LiveLinkFormat("Anna").packets(frame())
    read = read_livelink(packet)
    assert (read.device, read.subject, read.rate) == ("Anna", "Anna", 60)
    assert read.frame == pytest.approx(3600.51 * 60, abs=1e-2)
    assert read.values is not None
    for name, value in zip(ARKIT_NAMES, motion().weights[0], strict=True):
        assert read.values[name[0].upper() + name[1:]] == pytest.approx(float(value)), name


def test_live_link_packets_equal_the_exported_file(tmp_path: Path) -> None:
    """The CSV of the export and the packets have the same columns in another order, with the same signs."""
    write_livelink(tmp_path / "talk.csv", motion())
    with (tmp_path / "talk.csv").open(newline="") as file:
        row = next(csv.DictReader(file))
    values = read_livelink(LiveLinkFormat("Anna").packets(frame())[0]).values
    assert values is not None
    for name in LIVE_LINK_NAMES:
        assert values[name] == pytest.approx(float(row[name]), abs=1e-6), name
    # Yaw of the head is positive to the subject's left, pitch upwards; those of the eyes are opposite.
    assert (values["HeadYaw"], values["HeadPitch"]) == (pytest.approx(0.3), pytest.approx(-0.2))
    assert (values["LeftEyeYaw"], values["LeftEyePitch"]) == (pytest.approx(-0.1), pytest.approx(-0.05))


def test_a_live_link_packet_without_a_face_ends_after_the_time() -> None:
    read = read_livelink(LiveLinkFormat("Anna").packets(frame(face=False))[0])
    assert read.values is None
    assert read.frame == pytest.approx(3600.51 * 60, abs=1e-2)


def test_vmc_packets_follow_the_protocol_and_fit_into_an_ethernet_frame() -> None:
    packets = VmcFormat().packets(frame())
    assert max(map(len, packets)) <= LARGEST
    (read,) = read_vmc(packets)
    assert read.seconds == 12.5
    assert read.weights == {
        name[0].upper() + name[1:]: pytest.approx(float(value))
        for name, value in zip(ARKIT_NAMES, motion().weights[0], strict=True)
    }


def unity(vector: list[float]) -> np.ndarray:
    """A direction of the head frame (x to the subject's left) in Unity's axes (x to the subject's right)."""
    return np.array(vector) * [-1, 1, 1]


def test_vmc_turns_head_and_eyes_as_the_head_model_does() -> None:
    (read,) = read_vmc(VmcFormat().packets(frame()))
    turned = Rotation.from_euler("YXZ", motion().head[0])
    for vector in np.eye(3).tolist():
        sent = Rotation.from_quat(read.bones["Head"][3:]).apply(unity(vector))
        np.testing.assert_allclose(sent, unity(turned.apply(vector).tolist()), atol=1e-6)
    # The gaze: positive yaw looks to the subject's left, -x in Unity; positive pitch looks up.
    for number, bone in enumerate(("LeftEye", "RightEye")):
        x, y, z = Rotation.from_quat(read.bones[bone][3:]).apply([0, 0, 1])
        yaw, pitch = motion().eyes[0, number]
        assert np.arctan2(-x, z) == pytest.approx(yaw, abs=1e-6)
        assert np.arcsin(y) == pytest.approx(pitch, abs=1e-6)


def test_presets_replace_the_weights_of_arkit() -> None:
    (read,) = read_vmc(VmcFormat(presets=True).packets(frame()))
    assert set(read.weights) == {"A", "I", "U", "E", "O", "Blink_L", "Blink_R"}
    assert read.weights["A"] == pytest.approx(float(motion().weight("jawOpen")[0]))
    assert min(read.weights.values()) >= 0 and max(read.weights.values()) <= 1


def test_every_osc_message_is_padded_to_four_bytes() -> None:
    for packet in VmcFormat().packets(frame()):
        assert len(packet) % 4 == 0
        assert read_osc(packet)


def test_a_mirrored_motion_mirrored_again_is_the_motion() -> None:
    once = mirrored(motion())
    assert once.weight("mouthSmileLeft") == motion().weight("mouthSmileRight")
    assert once.weight("jawOpen") == motion().weight("jawOpen")
    np.testing.assert_allclose(once.head, [[-0.3, 0.2, 0.1]], atol=1e-7)
    np.testing.assert_allclose(once.eyes, [[[-0.12, 0.04], [-0.1, 0.05]]], atol=1e-7)
    again = mirrored(once)
    for name in ("weights", "head", "eyes"):
        np.testing.assert_array_equal(getattr(again, name), getattr(motion(), name))


@pytest.mark.parametrize(
    ("text", "expected"),
    [("127.0.0.1:39539", ("127.0.0.1", 39539)), ("[::1]:11111", ("::1", 11111)), ("studio-pc:1", ("studio-pc", 1))],
)
def test_receivers_are_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_receiver(text) == expected


@pytest.mark.parametrize("text", ["127.0.0.1", ":39539", "host:", "host:0", "host:65536", "host:port", "::1:39539", ""])
def test_malformed_receivers_are_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="needs HOST:PORT with a port from 1 to 65535"):
        parse_receiver(text)


def test_a_name_that_does_not_resolve_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--to nowhere\.invalid:39539: the host name cannot be resolved"):
        UdpSender("nowhere.invalid", 39539)


def test_a_closed_receiver_is_counted_and_sending_goes_on() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        port = receiver.getsockname()[1]
    with UdpSender("127.0.0.1", port) as sender:
        for _ in range(5):
            sender.send([b"packet"])
        assert (sender.packets, sender.refused, sender.failed) == (5, 4, 0)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
            receiver.bind(("127.0.0.1", port))
            receiver.settimeout(5)
            sender.send([b"again"])
            assert receiver.recv(100) == b"again"


def test_packets_arrive_over_ipv6() -> None:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as receiver:
        try:
            receiver.bind(("::1", 0))
        except OSError:
            pytest.skip("this machine has no IPv6")
        receiver.settimeout(5)
        with UdpSender("::1", receiver.getsockname()[1]) as sender:
            sender.send([b"packet"])
        assert receiver.recv(100) == b"packet"
