"""Writing mp4: whole or not at all, the same bytes each time, clear errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from occlufacediff.errors import ClipError
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.frames import read_frames


def pictures(count: int) -> list[np.ndarray]:
    ramp = np.linspace(0, 255, 64 * 48).reshape(48, 64)
    return [np.stack([np.roll(ramp, 3 * number, axis=1)] * 3, axis=2).astype(np.uint8) for number in range(count)]


def write(path: Path, frames: int = 12, **options: object) -> None:
    with VideoWriter(path, 25, (64, 48), crf=4, **options) as writer:
        for picture in pictures(frames):
            writer.write(picture)


def test_what_is_written_comes_back(tmp_path: Path) -> None:
    write(tmp_path / "a.mp4")
    back = np.stack(list(read_frames(tmp_path / "a.mp4")))
    assert np.abs(back.astype(int) - np.stack(pictures(12)).astype(int)).mean() < 4


def test_same_bytes_twice_with_sound(tmp_path: Path) -> None:
    sound = np.sin(np.arange(16000) / 7).astype(np.float32)
    for name in ("a.mp4", "b.mp4"):
        write(tmp_path / name, audio=sound)
    assert (tmp_path / "a.mp4").read_bytes() == (tmp_path / "b.mp4").read_bytes()


def test_an_error_inside_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"old")
    with pytest.raises(RuntimeError, match="inside"), VideoWriter(tmp_path / "a.mp4", 25, (64, 48)) as writer:
        writer.write(pictures(1)[0])
        raise RuntimeError("inside")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mp4"]
    assert (tmp_path / "a.mp4").read_bytes() == b"old"


def test_bad_frames_and_sizes(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="even"):
        VideoWriter(tmp_path / "a.mp4", 25, (63, 48))
    with pytest.raises(ValueError, match="needs"), VideoWriter(tmp_path / "a.mp4", 25, (64, 48)) as writer:
        writer.write(np.zeros((64, 48, 3), np.uint8))
    with pytest.raises(ClipError, match="no frame"):
        write(tmp_path / "a.mp4", frames=0)
    with pytest.raises(ClipError, match="encoding"):
        write(tmp_path / "a.mp4", frames=500, preset="none")
    assert not list(tmp_path.iterdir())
