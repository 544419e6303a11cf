"""Sources of live sessions: cameras, files and streams, and what happens when they end."""

from __future__ import annotations

import re
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import cv2
import numpy as np
import pytest
from live_setup import FRAMES, Live, Receiver, face, figures

from occlufacediff.errors import ClipError, ConfigError
from occlufacediff.live.capture import Capture
from occlufacediff.live.source import LONGEST_PX, SourceAddress, parse_source, pictures
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.ffmpeg import ffmpeg_binary


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


def test_an_unexpected_error_of_a_source_is_raised(clips: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*arguments: Any) -> Iterator[Any]:
        yield next(pictures(*arguments))
        raise ValueError("a fault of the program")

    monkeypatch.setattr("occlufacediff.live.capture.pictures", broken)
    with (
        pytest.raises(ValueError, match="a fault of the program"),
        Capture(SourceAddress("stream", str(clips / "face.mp4"), "stream"), wait_s=5) as capture,
    ):
        while capture.next() is not None:
            continue


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
