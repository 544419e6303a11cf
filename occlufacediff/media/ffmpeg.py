"""Finding and running the ffmpeg program."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from tempfile import TemporaryFile
from typing import Any

import imageio_ffmpeg

from occlufacediff.errors import ClipError

QUIET = ("-nostdin", "-hide_banner", "-loglevel", "error")
#: Output options that make the bytes independent of build and date.
BITEXACT = {"fflags": "+bitexact", "map_metadata": -1, "map_chapters": -1}


@cache
def ffmpeg_binary() -> str:
    """The program on the PATH, else the one of imageio-ffmpeg."""
    return shutil.which("ffmpeg") or imageio_ffmpeg.get_ffmpeg_exe()


def run_ffmpeg(stream: Any, *, reason: str, doing: str) -> None:
    """Run a stream of ffmpeg-python that writes files, which may exist.

    Args:
        stream: output node of ffmpeg-python.
        reason: reason of the error.
        doing: the operation, for the error message: "conversion of PATH".

    Raises:
        ClipError: ffmpeg failed; the message has its last output.
    """
    for _ in ffmpeg_blocks(stream.overwrite_output(), io.DEFAULT_BUFFER_SIZE, reason=reason, doing=doing):
        pass  # it prints nothing


def ffmpeg_blocks(stream: Any, size: int, *, reason: str, doing: str) -> Iterator[bytes]:
    """Run a stream of ffmpeg-python and yield its standard output in blocks, while it runs.

    Args:
        stream: output node of ffmpeg-python.
        size: bytes of each block; the last one can be shorter.
        reason, doing: as in `run_ffmpeg`.

    Raises:
        ClipError: ffmpeg failed; the message has its last output.
    """
    command = stream.global_args(*QUIET).compile(cmd=ffmpeg_binary())
    # A file, not a pipe: nobody reads error output while ffmpeg runs.
    with TemporaryFile() as errors:
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process:
            assert process.stdout is not None
            while block := process.stdout.read(size):
                yield block
        if process.returncode:
            errors.seek(0)
            raise ClipError(reason, f"{doing} failed: {last_words(errors.read())}")


def last_words(stderr: bytes) -> str:
    """The last lines of a program's error output as one line of at most 300 characters."""
    lines = stderr.decode("utf-8", "replace").strip().splitlines()
    return "; ".join(line.strip() for line in lines[-3:])[-300:] or "no message"
