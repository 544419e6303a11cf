"""Finding and running the ffmpeg program."""

from __future__ import annotations

import shutil
from functools import cache
from typing import Any

import ffmpeg
import imageio_ffmpeg

from occlufacediff.errors import ClipError

QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")
#: Output options that make the bytes independent of build and date.
BITEXACT = {"fflags": "+bitexact", "map_metadata": -1, "map_chapters": -1}


@cache
def ffmpeg_binary() -> str:
    """The program on the PATH, else the one of imageio-ffmpeg."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


def run_ffmpeg(stream: Any, *, reason: str, doing: str) -> bytes:
    """Run a stream of ffmpeg-python and return its standard output.

    Args:
        stream: output node of ffmpeg-python.
        reason: reason of the error.
        doing: the operation, for the error message: "conversion of PATH".

    Raises:
        ClipError: ffmpeg failed; the message has its last output.
    """
    try:
        out, _ = (
            stream.global_args(*QUIET)
            .overwrite_output()
            .run(cmd=ffmpeg_binary(), capture_stdout=True, capture_stderr=True)
        )
    except ffmpeg.Error as error:
        raise ClipError(reason, f"{doing} failed: {last_words(error.stderr)}") from error
    return bytes(out)


def last_words(stderr: bytes | None) -> str:
    """The last lines of a program's error output as one line of at most 300 characters."""
    lines = (stderr or b"").decode("utf-8", "replace").strip().splitlines()
    return "; ".join(line.strip() for line in lines[-3:])[-300:] or "no message"
