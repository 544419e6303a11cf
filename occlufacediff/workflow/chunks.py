"""Chunks of a subject: jobs that process some of its clips before the subject's own job joins the results.

Chunk ``2of4`` processes every fourth clip from the second on, so that all chunks take about the same time. Its job
writes the parts of these clips. The subject's own job finds the finished parts and writes the same file as without
chunks. Standard library only.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

_CHUNK = re.compile(r"([1-9]\d*)of([1-9]\d*)")


def names(count: int) -> list[str]:
    """Names of the chunks of a subject, ``1of4`` to ``4of4``; none if a subject is one job."""
    return [f"{number}of{count}" for number in range(1, count + 1)] if count > 1 else []


def of_chunk(clips: Sequence[str], chunk: str | None) -> list[str]:
    """Clips of a chunk in their order; all of them for None.

    Raises:
        ValueError: ``chunk`` is not the name of a chunk.
    """
    if chunk is None:
        return list(clips)
    match = _CHUNK.fullmatch(chunk)
    if match is None or int(match[1]) > int(match[2]):
        raise ValueError(f"chunk: got {chunk!r}, needs a name like 2of4")
    return list(clips[int(match[1]) - 1 :: int(match[2])])


def subject_file(path: str, chunk: str | None) -> Path:
    """Path of the subject's file that a chunk's marker ``<file>.<chunk>`` stands for; the path itself for None."""
    return Path(path if chunk is None else path.removesuffix(f".{chunk}"))
