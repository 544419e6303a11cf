"""Pictures and videos as text for a page that needs no other file."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from occlufacediff.head.asset import HeadAsset
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.rates import FPS
from occlufacediff.rendering.animation import size_of
from occlufacediff.reporting.videos import TITLES, ResultClip, result_frames


def jpeg(picture: NDArray[np.uint8]) -> str:
    """An RGB picture as base64 of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=88)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def result_video(
    shown: ResultClip, head: HeadAsset, sound: NDArray[np.float32] | None, *, panel: int, heat_max_mm: float
) -> dict[str, str]:
    """A result video (see `result_frames`) as base64 of an mp4 file, ``data``, and its middle frame, ``poster``."""
    poster = ""
    with TemporaryDirectory(prefix="report-") as folder:
        path = Path(folder) / "video.mp4"
        with VideoWriter(path, FPS, size_of(len(TITLES), panel), audio=sound, crf=24) as writer:
            for number, frame in enumerate(result_frames(shown, head, panel, heat_max_mm)):
                writer.write(frame)
                if number == len(shown.crops) // 2:
                    poster = jpeg(frame)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    return {"data": data, "poster": poster}
