"""Small clips with a real, moving face, made on the spot."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import skimage.data

from occlufacediff.media.archives import write_tar
from occlufacediff.media.encode import VideoWriter, write_audio

SIZE = 256


def face_frame(shift: int) -> np.ndarray:
    """A photograph, moved sideways by some pixels."""
    left = 90 + shift
    return np.ascontiguousarray(skimage.data.astronaut()[:SIZE, left : left + SIZE])


def tone(seconds: float, rate: int = 48000) -> np.ndarray:
    return (0.2 * np.sin(np.arange(int(seconds * rate)) / rate * 2 * np.pi * 220)).astype(np.float32)


def write_face(path: Path, frames: int = 32, fps: float = 30, audio: np.ndarray | None = None) -> Path:
    with VideoWriter(path, fps, (SIZE, SIZE), audio=audio, audio_rate=48000, preset="ultrafast") as writer:
        for number in range(frames):
            writer.write(face_frame(number // 4))
    return path


def write_blank(path: Path, frames: int = 32) -> Path:
    with VideoWriter(path, 30, (SIZE, SIZE), preset="ultrafast") as writer:
        for number in range(frames):
            writer.write(np.full((SIZE, SIZE, 3), 40 + number, np.uint8))
    return path


def write_archives(folder: Path) -> tuple[Path, Path]:
    """Archives of one subject: two good clips and one of each fault."""
    source = folder / "source"
    good = write_face(source / "good.mp4")
    other = write_face(source / "other.mp4", frames=36)
    with_sound = write_face(source / "with_sound.mp4", audio=tone(32 / 30))
    blank = write_blank(source / "blank.mp4")
    short = write_face(source / "short.mp4", frames=10)
    (source / "text.mp4").write_text("not a video" * 99)
    (source / "empty.mp4").write_bytes(b"")
    write_audio(source / "good.m4a", tone(1.02), 48000)
    write_audio(source / "long.m4a", tone(4.0), 48000)
    videos = {
        "happy/level_1/001": good,
        "happy/level_1/002": other,
        "happy/level_2/003": with_sound,
        "sad/level_1/001": blank,
        "sad/level_1/002": short,
        "sad/level_1/003": source / "text.mp4",
        "sad/level_1/004": source / "empty.mp4",
        "sad/level_2/005": good,
        "sad/level_2/006": good,
    }
    sounds = dict.fromkeys(videos, source / "good.m4a")
    del sounds["happy/level_2/003"], sounds["sad/level_2/005"]
    sounds["sad/level_2/006"] = source / "long.m4a"
    sounds["fear/level_1/009"] = source / "good.m4a"
    write_tar(
        folder / "video.tar",
        [(f"video/front/{clip}.mp4", path) for clip, path in videos.items()]
        + [(f"video/left_30/{clip}.mp4", path) for clip, path in list(videos.items())[:2]],
    )
    write_tar(folder / "audio.tar", [(f"audio/{clip}.m4a", path) for clip, path in sounds.items()])
    return folder / "video.tar", folder / "audio.tar"
