"""The command `live` with real sockets: generated clips, a stream made by ffmpeg, a camera that disappears."""

from __future__ import annotations

import csv
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from packet_readers import read_livelink, read_vmc
from skimage import data
from small_head import small_head

from occlufacediff.cli import main
from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.live.capture import Capture
from occlufacediff.live.session import LOG_COLUMNS
from occlufacediff.live.source import LONGEST_PX, SourceAddress, parse_source, pictures
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.ffmpeg import ffmpeg_binary

ROOT = Path(__file__).resolve().parents[2]
FRAMES = 40
SUMMARY = re.compile(r"(\d+) frames sent \((\d+) with a face\), (\d+) dropped; latency: median (\d+) ms, 95 % within")


def face(number: int) -> np.ndarray:
    """A face that moves a little: (240, 240, 3)."""
    start = 100 + number // 3
    return np.ascontiguousarray(data.astronaut()[:240, start : start + 240])


def tilted(number: int) -> np.ndarray:
    """The face, turned counter-clockwise by `TILT`."""
    matrix = cv2.getRotationMatrix2D((120, 120), np.degrees(TILT), 1)
    return cv2.warpAffine(face(number), matrix, (240, 240), borderMode=cv2.BORDER_REPLICATE)


TILT = 0.3
NOBODY = np.ascontiguousarray(data.brick()[:240, :240, None].repeat(3, axis=2))


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with videos: a face, the face tilted to the left of the picture, this one mirrored, no face after 1 s."""
    folder = tmp_path_factory.mktemp("live")
    for name, picture in (
        ("face", face),
        ("tilted", tilted),
        ("mirror", lambda number: np.ascontiguousarray(tilted(number)[:, ::-1])),
        ("away", lambda number: face(number) if number < 25 else NOBODY),
    ):
        with VideoWriter(folder / f"{name}.mp4", 25, (240, 240)) as writer:
            for number in range(FRAMES):
                writer.write(picture(number))
    (folder / "text.mp4").write_text("this is no video")
    return folder


class Receiver:
    """Receives packets on loopback, with the time of each."""

    def __init__(self) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(0.1)
        self.to = f"127.0.0.1:{self.socket.getsockname()[1]}"
        self.packets: list[bytes] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                self.packets.append(self.socket.recv(65535))
            except TimeoutError:
                if self._stop.is_set():
                    return

    def close(self) -> list[bytes]:
        self._stop.set()
        self._thread.join()
        self.socket.close()
        return self.packets


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    receiver = Receiver()
    yield receiver
    receiver.close()


Live = Callable[..., tuple[int, str]]


@pytest.fixture
def live(small_open_head: Path) -> Live:
    """Runs the command; returns exit status and output."""

    def run(source: str | Path, *options: str) -> tuple[int, str]:
        result = CliRunner().invoke(main, ["live", str(source), "--head", str(small_open_head), *options])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.output
        return result.exit_code, result.output

    return run


def figures(output: str) -> tuple[int, int, int]:
    """Frames sent, those with a face, and dropped frames, from the summary line."""
    found = SUMMARY.search(output)
    assert found is not None, output
    return int(found[1]), int(found[2]), int(found[3])


def test_a_file_is_sent_as_vmc(clips: Path, live: Live, receiver: Receiver, tmp_path: Path) -> None:
    log = tmp_path / "log.csv"
    begun = time.monotonic()
    status, output = live(clips / "face.mp4", "--send", "vmc", "--to", receiver.to, "--log", str(log))
    assert status == 0, output
    assert time.monotonic() - begun > FRAMES / 25
    sent, with_face, dropped = figures(output)
    assert sent + dropped == FRAMES
    assert with_face == sent > 0
    frames = read_vmc(receiver.close())
    assert len(frames) == sent
    for frame in frames:
        assert len(frame.weights) == 52
        assert min(frame.weights.values()) >= 0 and max(frame.weights.values()) <= 1
        assert np.linalg.norm(frame.bones["Head"][3:]) == pytest.approx(1, abs=1e-5)
    assert any(max(frame.weights.values()) > 0.1 for frame in frames)
    with log.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == LOG_COLUMNS
    assert [float(row["seconds"]) for row in rows] == pytest.approx([frame.seconds for frame in frames], abs=1e-5)
    # The times are those at which the file's frames are due: multiples of 1/25 s.
    steps = np.array([frame.seconds for frame in frames]) * 25
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert [int(row["frame"]) for row in rows] == np.round(steps).astype(int).tolist()
    assert all(float(row["latency_ms"]) > 0 for row in rows)


def test_a_file_is_sent_to_live_link(clips: Path, live: Live, receiver: Receiver) -> None:
    to = ("--send", "livelink", "--to", receiver.to, "--subject", "Anna")
    status, output = live(clips / "face.mp4", *to, "--visibility", "none")
    assert status == 0, output
    read = [read_livelink(packet) for packet in receiver.close()]
    assert len(read) == figures(output)[0]
    assert {one.subject for one in read} == {"Anna"}
    assert np.diff([one.frame for one in read]).min() > 1.9
    for one in read:
        assert one.values is not None
        assert all(0 <= value <= 1 for value in list(one.values.values())[:52])


def mean_angles(packets: list[bytes]) -> dict[str, float]:
    values = [read.values for read in map(read_livelink, packets) if read.values is not None]
    return {name: float(np.mean([one[name] for one in values])) for name in values[0]}


def test_the_head_turns_with_the_picture_and_mirrors(clips: Path, live: Live) -> None:
    """Rotations about the z axis, which points to the camera, are counter-clockwise in the picture."""
    means = {}
    for name, options in (("face", ()), ("tilted", ()), ("mirror", ()), ("tilted", ("--mirror",))):
        receiver = Receiver()
        to = ("--send", "livelink", "--to", receiver.to, "--visibility", "none")
        assert live(clips / f"{name}.mp4", *to, *options)[0] == 0
        means[name, bool(options)] = mean_angles(receiver.close())
    plain, turned = means["face", False], means["tilted", False]
    assert turned["HeadRoll"] - plain["HeadRoll"] == pytest.approx(TILT, abs=0.06)
    # The program mirrors as the mirrored picture does.
    in_picture, by_option = means["mirror", False], means["tilted", True]
    assert by_option["HeadRoll"] == pytest.approx(-turned["HeadRoll"], abs=0.02)
    for angle in ("HeadYaw", "HeadPitch", "HeadRoll"):
        assert in_picture[angle] == pytest.approx(by_option[angle], abs=0.08)


def test_without_a_face_live_link_packets_have_no_values(clips: Path, live: Live, receiver: Receiver) -> None:
    status, output = live(clips / "away.mp4", "--send", "livelink", "--to", receiver.to)
    assert status == 0, output
    assert "no face in the picture" in output
    sent, with_face, _ = figures(output)
    faces = [read_livelink(packet).values is not None for packet in receiver.close()]
    assert sum(faces) == with_face < sent == len(faces)
    assert faces[0] and not faces[-1]


def test_without_a_face_the_head_stays_in_vmc(clips: Path, live: Live, receiver: Receiver) -> None:
    status, output = live(clips / "away.mp4", "--send", "vmc", "--to", receiver.to)
    assert status == 0, output
    frames = read_vmc(receiver.close())
    last = [frame.bones["Head"] for frame in frames if frame.seconds > 1.2]
    assert len(last) > 2
    assert all(bone == last[0] for bone in last)


def test_a_closed_receiver_does_not_end_the_session(clips: Path, live: Live) -> None:
    receiver = Receiver()
    receiver.close()
    status, output = live(clips / "face.mp4", "--send", "livelink", "--to", receiver.to)
    assert status == 0, output
    sent, _, dropped = figures(output)
    assert sent + dropped == FRAMES
    refused = int(re.search(r"(\d+) packets refused", output)[1])  # type: ignore[index]
    assert 0 < refused < sent
    assert output.count("no program listens at the receiver's port; sending goes on") == 1


def test_a_session_can_have_a_limit(clips: Path, live: Live, receiver: Receiver) -> None:
    status, output = live(clips / "face.mp4", "--send", "livelink", "--to", receiver.to, "--seconds", "0.59")
    assert status == 0
    assert 0 < figures(output)[0] <= 15


@pytest.mark.slow
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_one_line(
    clips: Path, small_open_head: Path, receiver: Receiver, tmp_path: Path, ending: int
) -> None:
    # Long enough for a signal that arrives seconds late on a busy machine.
    video, repeated = tmp_path / "long.mkv", ["-stream_loop", "39", "-i", str(clips / "face.mp4"), "-c", "copy"]
    subprocess.run([ffmpeg_binary(), "-loglevel", "error", *repeated, str(video)], check=True)
    command = [sys.executable, "-m", "occlufacediff", "live", str(video), "--head", str(small_open_head)]
    process = subprocess.Popen(
        [*command, "--send", "livelink", "--to", receiver.to],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    begun = time.monotonic()
    while not receiver.packets and time.monotonic() - begun < 90:
        time.sleep(0.01)
    process.send_signal(ending)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "Traceback" not in errors
    assert len(SUMMARY.findall(errors)) == 1
    assert figures(errors)[0] < 40 * FRAMES


class Camera:
    """Stands in for OpenCV's camera: each opening gives some frames at 25 a second, then the camera is gone."""

    openings: ClassVar[list[int]] = []

    def __init__(self, address: int | str) -> None:
        assert address == 0
        self._left = self.openings.pop(0) if self.openings else 0
        self._open = self._left > 0
        self._number = 0

    def isOpened(self) -> bool:
        return self._open

    def set(self, key: int, value: float) -> bool:
        return True

    def read(self) -> tuple[bool, Any]:
        if self._left == 0:
            return False, None
        time.sleep(1 / 25)
        self._left, self._number = self._left - 1, self._number + 1
        return True, cv2.cvtColor(face(self._number), cv2.COLOR_RGB2BGR)

    def release(self) -> None:
        """Nothing is held."""


@pytest.fixture
def cameras(monkeypatch: pytest.MonkeyPatch) -> type[Camera]:
    monkeypatch.setattr(cv2, "VideoCapture", Camera)
    return Camera


def test_a_camera_that_disappears_ends_the_session_with_one_line(
    cameras: type[Camera], live: Live, receiver: Receiver
) -> None:
    cameras.openings = [10]
    status, output = live("camera:0", "--send", "livelink", "--to", receiver.to, "--wait", "1.5")
    assert status == 2
    sent, _, dropped = figures(output)
    assert sent + dropped == 10
    assert "camera:0: no frames; waiting up to 1.5 s" in output
    assert output.rstrip().endswith("SOURCE camera:0: gave no frame for 1.5 s; check it, or raise --wait")


def test_a_camera_that_comes_back_goes_on(cameras: type[Camera], live: Live, receiver: Receiver) -> None:
    cameras.openings = [10, 0, 0, 10]
    status, output = live("camera:0", "--send", "livelink", "--to", receiver.to, "--wait", "3")
    assert status == 2
    sent, _, dropped = figures(output)
    assert sent + dropped == 20
    assert "camera:0: frames again" in output


def test_a_camera_that_cannot_be_opened(cameras: type[Camera], live: Live, receiver: Receiver) -> None:
    cameras.openings = [0]
    status, output = live("camera:0", "--send", "livelink", "--to", receiver.to)
    assert status == 2
    assert output.count("\n") == 1
    assert "SOURCE camera:0: the camera cannot be opened; check that it is connected" in output


class SilentCamera(Camera):
    """Is open and never gives a frame."""

    def isOpened(self) -> bool:
        return True

    def read(self) -> tuple[bool, Any]:
        time.sleep(30)
        return False, None


def test_a_camera_that_gives_no_frame(monkeypatch: pytest.MonkeyPatch, live: Live, receiver: Receiver) -> None:
    monkeypatch.setattr(cv2, "VideoCapture", SilentCamera)
    monkeypatch.setattr("occlufacediff.live.capture.ANSWER_S", 0.5)
    status, output = live("camera:0", "--send", "livelink", "--to", receiver.to, "--wait", "0.5")
    assert status == 2
    assert output.count("\n") == 1
    assert "SOURCE camera:0: gave no frame for 1 s; check it, or raise --wait" in output


@pytest.mark.slow
def test_a_network_stream_is_sent_until_it_stops(clips: Path, live: Live, receiver: Receiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    source = f"udp://127.0.0.1:{port}"
    streaming = ["-stream_loop", "4", "-re", "-i", str(clips / "face.mp4"), "-c:v", "mpeg2video", "-q:v", "4"]
    stream = subprocess.Popen(
        [ffmpeg_binary(), "-v", "error", *streaming, "-g", "10", "-f", "mpegts", f"{source}?pkt_size=1316"],
        stdin=subprocess.DEVNULL,
    )
    try:
        status, output = live(source, "--send", "livelink", "--to", receiver.to, "--wait", "2")
    finally:
        stream.kill()
        stream.wait()
    assert status == 2
    assert figures(output)[0] > 10
    assert f"SOURCE {source}: gave no frame for 2 s" in output
    assert len(receiver.close()) == figures(output)[0]


def test_a_video_on_a_web_server_is_played_once_in_real_time(clips: Path, live: Live, receiver: Receiver) -> None:
    handler = partial(SimpleHTTPRequestHandler, directory=str(clips))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        begun = time.monotonic()
        source = f"http://127.0.0.1:{server.server_port}/face.mp4"
        status, output = live(source, "--send", "livelink", "--to", receiver.to)
        server.shutdown()
    assert status == 0, output
    assert time.monotonic() - begun > FRAMES / 25
    sent, _, dropped = figures(output)
    assert sent + dropped == FRAMES


def test_a_stream_that_does_not_answer(live: Live, receiver: Receiver) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    status, output = live(f"http://127.0.0.1:{port}/talk.mp4", "--send", "livelink", "--to", receiver.to)
    assert status == 2
    assert output.count("\n") == 1
    assert f"SOURCE http://127.0.0.1:{port}/talk.mp4: the stream cannot be opened" in output


def test_a_stream_that_is_silent(monkeypatch: pytest.MonkeyPatch, live: Live, receiver: Receiver) -> None:
    monkeypatch.setattr("occlufacediff.live.source.ANSWER_S", 1.0)
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        source = f"http://127.0.0.1:{server.getsockname()[1]}/talk.mp4"
        status, output = live(source, "--send", "livelink", "--to", receiver.to)
    assert status == 2
    assert output.count("\n") == 1
    assert "the stream cannot be opened (no answer within 1 s); check address and sender" in output


def test_frames_are_dropped_and_never_queued(clips: Path) -> None:
    with Capture(parse_source(str(clips / "face.mp4")), wait_s=5) as capture:
        numbers, delays = [], []
        while (frame := capture.next()) is not None:
            delays.append(time.monotonic() - frame.time)
            numbers.append(frame.number)
            time.sleep(0.13)
    assert capture.captured == FRAMES
    assert capture.dropped == FRAMES - len(numbers) > FRAMES // 3
    assert numbers == sorted(set(numbers))
    # A frame never waits longer than the time that the one before it took.
    assert max(delays) < 0.13 + 0.1


def test_large_pictures_are_reduced(tmp_path: Path) -> None:
    with VideoWriter(tmp_path / "large.mp4", 25, (1920, 1080)) as writer:
        writer.write(np.zeros((1080, 1920, 3), np.uint8))
    timed, end = pictures(parse_source(str(tmp_path / "large.mp4")), lambda seconds: True)
    assert end is None and timed is not None
    assert timed.picture is not None and timed.picture.shape == (720, LONGEST_PX, 3)


@pytest.mark.parametrize(
    ("text", "kind", "address"),
    [
        ("camera:0", "camera", "0"),
        ("camera:/dev/video2", "camera", "/dev/video2"),
        ("/dev/video0", "camera", "/dev/video0"),
        ("rtsp://studio/cam", "stream", "rtsp://studio/cam"),
        (str(Path(__file__)), "file", str(Path(__file__))),
    ],
)
def test_sources(text: str, kind: str, address: str) -> None:
    source = parse_source(text)
    assert isinstance(source, SourceAddress)
    assert (source.kind, source.address, source.text) == (kind, address, text)


@pytest.mark.parametrize(
    ("text", "error", "words"),
    [
        ("webcam:0", ConfigError, "SOURCE webcam:0: unknown scheme 'webcam'; give camera:0, the path of a video"),
        ("ftp://host/talk.mp4", ConfigError, "unknown scheme 'ftp'"),
        ("camera:front", ConfigError, "needs the number or path of a camera, such as camera:0"),
        ("missing.mp4", ClipError, "SOURCE missing.mp4: there is no such file"),
    ],
)
def test_bad_sources_are_refused(text: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=re.escape(words)):
        parse_source(text)


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("missing.mp4", ("--send", "vmc", "--to", "127.0.0.1:39539"), "there is no such file"),
        ("webcam:0", ("--send", "vmc", "--to", "127.0.0.1:39539"), "unknown scheme 'webcam'"),
        ("face.mp4", ("--send", "vmc", "--to", "127.0.0.1"), "--to 127.0.0.1: needs HOST:PORT"),
        ("face.mp4", ("--send", "vmc", "--to", "nowhere.invalid:1"), "host name cannot be resolved"),
        ("text.mp4", ("--send", "vmc", "--to", "127.0.0.1:39539"), "not a readable video"),
        ("face.mp4", ("--send", "vmc", "--to", "127.0.0.1:1", "--log", "missing/log.csv"), "missing"),
    ],
)
def test_bad_input_gives_one_line(
    clips: Path, live: Live, monkeypatch: pytest.MonkeyPatch, source: str, options: tuple[str, ...], words: str
) -> None:
    monkeypatch.chdir(clips)
    status, output = live(source, *options)
    assert status == 2
    assert output.count("\n") == 1, output
    assert output.startswith("occlufacediff: ") and words in output


def test_a_head_without_arkit_actions_is_refused(clips: Path, tmp_path: Path, receiver: Receiver) -> None:
    small_head().save(tmp_path / "head.npz")
    arguments = ["live", str(clips / "face.mp4"), "--send", "vmc", "--to", receiver.to]
    result = CliRunner().invoke(main, [*arguments, "--head", str(tmp_path / "head.npz")])
    assert result.exit_code == 2
    assert "the coefficients of the head model 'small' are not ARKit actions" in result.output
