"""Clips, a receiver on loopback and the command, for tests of live sessions."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from click.testing import CliRunner
from skimage import data

from occlufacediff.cli import main
from occlufacediff.media.encode import VideoWriter

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
