"""Images and videos as base64 text, so that an HTML page needs no other file."""

from __future__ import annotations

import base64
import io
import logging
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from occlufacediff.head.asset import HeadAsset
from occlufacediff.media.encode import VideoWriter
from occlufacediff.media.rates import FPS
from occlufacediff.rendering.panel_drawing import panels_size
from occlufacediff.reporting.videos import TITLES, ResultClip, result_frames
from occlufacediff.storage import as_clip_error

LOG = logging.getLogger(__name__)


def jpeg(picture: NDArray[np.uint8]) -> str:
    """An RGB image as base64 of a JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, format="JPEG", quality=88)
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def result_video(
    shown: ResultClip, head: HeadAsset, audio: NDArray[np.float32] | None, *, panel: int, heat_max_mm: float
) -> dict[str, str]:
    """A result video (see `result_frames`) as base64: the mp4 file ``data``, and its middle frame ``poster``."""
    poster = ""
    with TemporaryDirectory(prefix="report-") as folder:
        path = Path(folder) / "video.mp4"
        with VideoWriter(path, FPS, panels_size(len(TITLES), panel), audio=audio, crf=24) as writer:
            for number, frame in enumerate(result_frames(shown, head, panel, heat_max_mm)):
                writer.write(frame)
                if number == len(shown.crops) // 2:
                    poster = jpeg(frame)
        data = base64.b64encode(path.read_bytes()).decode("ascii")
    return {"data": data, "poster": poster}


def video_or_note(caption: str, make: Callable[[], dict[str, str]]) -> dict[str, str]:
    """What ``make`` returns, with a caption; a caption with the reason only, if the clip raises.

    The traceback goes to the log, so that one clip cannot end the whole page.

    Raises:
        OccluFaceError: the error does not come from this clip: storage, configuration or an asset.
    """
    try:
        return {**make(), "caption": caption}
    except Exception as error:
        failure = as_clip_error(error)
        LOG.exception("%s: the video cannot be drawn", caption)
    return {"caption": f"{caption} (the video cannot be drawn: {' '.join(str(failure).split())})"}
